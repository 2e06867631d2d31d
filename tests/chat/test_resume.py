"""Asking the log for what comes after n."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError

from chat import events, feed, upkeep
from chat.database import query
from chat.models import ChatSession, new_epoch
from tests.chat.test_faults import failing_once, holding, raising
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import Call, ScriptedModel

FRAMES = json.loads((Path(__file__).parents[1] / "frames.json").read_text())


def types(tab: InProcessTab) -> list[str]:
    return [frame["type"] for frame in tab.frames]


async def test_a_long_log_comes_in_pages(inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is bounded, the client asks for the next, and what is recorded meanwhile is neither lost nor doubled."""
    monkeypatch.setattr(feed, "PAGE_BYTES", 2000)
    monkeypatch.setattr(feed, "PAGE_EVENTS", 5)
    settings.MODEL = ScriptedModel(
        [Call("calculator", {"expression": "1+1"}), Call("calculator", {"expression": "2+2"})], ["ok"]
    )
    user = await inside.user()
    tab = await inside.tab(user)
    for index in range(4):
        await tab.until_ended(await tab.say(f"question {index}"))
    late = await inside.tab(user)
    run_id = await tab.say("one more")
    await late.until_ended(run_id)
    await late.until_current()
    assert late.tab.transcript() == await inside.transcript("s-1")
    pages = [frame["data"] for frame in late.frames if frame["type"] == "resumed"]
    assert len(pages) > 5
    assert [page["more"] for page in pages] == [True] * (len(pages) - 1) + [False]
    seqs = [frame["seq"] for frame in late.frames if "seq" in frame]
    assert sorted(set(seqs)) == list(range(1, len(set(seqs)) + 1))


@pytest.mark.parametrize("known", [{"after": 2, "epoch": "another"}, {"after": 999}])
async def test_a_client_from_another_history_is_reset(
    inside: InProcessSite, settings: Any, known: dict[str, Any]
) -> None:
    """Where the client's epoch is another, or it claims more than there is, it is told to forget and gets everything."""
    settings.MODEL = ScriptedModel(["ok"])
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_ended(await tab.say("hi"))
    stale = await inside.tab(user, resuming=False)
    await stale.send("resume", **known)
    await stale.until_frame("resumed")
    assert types(stale)[1] == "reset"
    assert [frame for frame in stale.frames if "seq" in frame] == await inside.transcript("s-1")


async def test_a_new_epoch_reaches_a_tab_that_comes_back(inside: InProcessSite, settings: Any) -> None:
    """History that was rewritten replaces what the tab has."""
    settings.MODEL = ScriptedModel(["ok"])
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_ended(await tab.say("hi"))
    await query(lambda: ChatSession.objects.update(epoch=new_epoch()))
    again = await inside.tab(user, resuming=False)
    again.tab = tab.tab
    connected = await again.until_frame("connected")
    (resume,) = again.tab.apply(connected)
    await again.send(resume.pop("type"), **resume)
    await again.until_frame("resumed")
    for frame in again.frames[1:]:
        again.tab.apply(frame)
    assert types(again)[1] == "reset"
    assert again.tab.transcript() == await inside.transcript("s-1")


async def test_a_page_that_came_is_not_sent_again(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database fails between the page and the question for drafts: the page stands, and the drafts are asked for later."""
    monkeypatch.setattr(upkeep, "ROUND_SECONDS", 0.02)
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["so far", gate])
    user = await inside.user()
    await holding(await inside.tab(user))
    late = await inside.tab(user, resuming=False)
    await late.until_frame("connected")
    met = failing_once(monkeypatch, events, "active_run", raising(OperationalError("cut")))
    await late.send("resume", after=0)
    await asyncio.wait_for(met.wait(), 5)
    # Which is when everything that failed has been tried again.
    await late.until_frame("reasoning_delta")
    assert types(late).count("resumed") == types(late).count("message") == 1
    gate.set()
