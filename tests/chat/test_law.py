"""The law: old state + frames applied == state fetched afresh, wherever a client was cut off and whatever the group
loses.
"""

from __future__ import annotations

import asyncio
import functools
import random
import uuid
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chat import events, feed, runs
from chat.database import query, write
from chat.models import ChatSession
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import Call, ScriptedModel, Think
from tests.parts.socket_client import Tab

SCRIPT: tuple[list[Any], ...] = (
    [Think("First "), Think("think. "), "Then ", "compute", ".", Call("calculator", {"expression": "6*7"})],
    ["And ", Call("calculator", {"expression": "1/0"}), Call("current_time", {"timezone": "UTC"})],
    ["It ", "is ", "42 ", "\N{GRINNING FACE}", "."],
)


async def test_every_cut_point(inside: InProcessSite, settings: Any) -> None:
    """Live, resumed after any prefix, and late clients of a scripted run hold the same state, which is the database's."""
    settings.MODEL = ScriptedModel(*SCRIPT)
    user = await inside.user()
    live = await inside.tab(user)
    await live.say("What is it?")
    await live.say("And again?", enable_reasoning=False)
    await live.until_ended()
    await live.until_current()
    truth = await inside.transcript("s-1")
    assert len(truth) > 20
    assert live.tab.transcript() == truth
    assert [run["state"] for run in live.tab.state()["runs"].values()] == ["completed", "completed"]
    for cut in range(len(truth) + 1):
        resumed = await inside.tab(user, resuming=False)
        resumed.tab = Tab()
        for frame in live.frames:
            if frame.get("seq", 0) <= cut and frame["type"] not in ("connected", "resumed", "reset"):
                resumed.tab.apply(frame)
        resumed.tab.resuming = False
        resumed.tab.epoch = live.tab.epoch
        for frame in [*resumed.frames]:
            resumed.tab.apply(frame)
        await resumed.send("resume", after=cut, epoch=live.tab.epoch)
        await resumed.until_frame("resumed")
        sent = [frame for frame in resumed.frames if frame.get("seq", 0) > 0]
        assert [frame["seq"] for frame in sent] == list(range(cut + 1, len(truth) + 1))
        for frame in resumed.frames:
            resumed.tab.apply(frame)
        assert resumed.tab.state() == live.tab.state()
        await resumed.close()


async def test_joining_in_mid_token_shows_the_text_so_far_and_goes_on(inside: InProcessSite, settings: Any) -> None:
    """A tab that opens while a step is being written has its text at once, and the rest as it comes."""
    gates = [asyncio.Event() for _ in range(4)]
    settings.MODEL = ScriptedModel(["One ", gates[0], "two ", gates[1], "three ", gates[2], "four", gates[3]])
    user = await inside.user()
    first = await inside.tab(user)
    run_id = await first.say("Count.")
    text = ""
    for index, word in enumerate(["One ", "two ", "three ", "four"]):
        text += word

        def shows(tab: Tab, text: str = text) -> bool:
            return run_id in tab.runs and {draft.text for draft in tab.runs[run_id].drafts.values()} == {text}

        await first.until(shows)
        late = await inside.tab(user)
        await late.until(shows)
        assert late.tab.state() == first.tab.state()
        gates[index].set()
    await first.until_ended(run_id)
    for tab in inside._tabs:
        await tab.until_current()
        assert tab.tab.state() == first.tab.state()


class FaultyLayer(InMemoryChannelLayer):  # type: ignore[misc]  # Channels ships no types
    """A layer that drops, doubles and delays what is sent to groups, as its seed says."""

    seed = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._random = random.Random(self.seed)
        self._late: list[tuple[str, dict[str, Any]]] = []

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if not group.startswith("session."):
            await super().group_send(group, message)
            return
        match self._random.choice(["send", "send", "drop", "double", "late", "late"]):
            case "send":
                await super().group_send(group, message)
            case "double":
                await super().group_send(group, message)
                await super().group_send(group, message)
            case "late":
                self._late.append((group, message))
        while self._late and self._random.random() < 0.5:
            await super().group_send(*self._late.pop(self._random.randrange(len(self._late))))


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
async def test_over_a_layer_that_drops_doubles_and_reorders(inside: InProcessSite, settings: Any, seed: int) -> None:
    """Whatever happens to announcements, every tab ends with the database's transcript, each event once."""
    from channels.layers import channel_layers

    FaultyLayer.seed = seed
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": f"{__name__}.FaultyLayer", "CONFIG": {"capacity": 10_000}}}
    channel_layers.backends.clear()
    settings.MODEL = ScriptedModel(*SCRIPT)
    session_id = f"s-{uuid.uuid4().hex}"
    user = await inside.user(session_id)
    tabs = [await inside.tab(user, session_id) for _ in range(2)]
    legacy = await inside.tab(user, session_id, resuming=False)
    await legacy.until_frame("connected")
    run_id = await tabs[0].say("What is it?")
    tabs.append(await inside.tab(user, session_id))
    async with asyncio.timeout(10):
        while tabs[0].tab.runs.get(run_id) is None or run_id in tabs[0].tab.active:
            await tabs[0].until_current()
    truth = await inside.transcript(session_id)
    for tab in tabs:
        await tab.until_current()
        assert tab.tab.transcript() == truth
        assert not any(run["drafts"] for run in tab.tab.state()["runs"].values())
    await legacy.send("ping", timestamp=1)
    await legacy.until_frame("pong")
    # A client of the first table never asks; its socket heals what the group lost all the same.
    assert [frame["seq"] for frame in legacy.frames if "seq" in frame] == [frame["seq"] for frame in truth]
    await inside.restart_driver()


async def test_an_announcement_from_further_on_brings_what_was_missed(inside: InProcessSite, settings: Any) -> None:
    """A client that never asks gets what an earlier announcement lost before what the later one tells, and each once."""
    # Nobody drives: only messages are recorded.
    settings.SWEEP_SECONDS = 3600
    user = await inside.user()
    client = await inside.tab(user, resuming=False)
    await client.until_frame("connected")
    session = await query(ChatSession.objects.get)
    accept = functools.partial(runs.accept, session.pk, message="hi", agent="writer", enable_reasoning=True)
    await write(accept)
    told = await write(accept)
    for _ in range(2):
        await events.announce(session.pk, told.recorded)
    await client.until_frame(lambda frame: frame.get("seq") == 2, timeout=3)
    await write(accept)
    await events.announce(session.pk, told.recorded)
    fourth = await write(accept)
    await events.announce(session.pk, fourth.recorded)
    await client.until_frame(lambda frame: frame.get("seq") == 4, timeout=3)
    assert [frame["seq"] for frame in client.frames if "seq" in frame and frame["type"] == "message"] == [1, 2, 3, 4]


async def test_a_run_that_says_nothing_more_is_looked_for(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who recorded the end died before it could tell: whoever watches learns of it within seconds, long before a heartbeat."""
    monkeypatch.setattr(feed, "QUIET_SECONDS", 0.2)
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["All.", gate])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))

    async def told_to_nobody(*_: Any) -> None:
        pass

    monkeypatch.setattr(events, "announce", told_to_nobody)
    gate.set()
    await tab.until_ended(run_id)
    assert tab.tab.transcript() == await inside.transcript("s-1")
