"""A user who is erased while an agent works for them: the run is stopped, their tabs are closed, and nothing more is written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from chat import deletion, erasure, events
from chat.database import query
from chat.models import ChatSession, Event, OpenSocket, Run
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import ScriptedModel


def erase(user: User) -> list[str]:
    said: list[str] = []
    try:
        erasure.erase(user, said.append)
    finally:
        connection.close()
    return said


async def test_the_run_is_stopped_and_the_tabs_are_closed(
    inside: InProcessSite, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MODEL = ScriptedModel(["Half of it", asyncio.Event()], ["For you."])
    user, other = await inside.user(), await inside.user("other")
    tab, idle, theirs = await inside.tab(user), await inside.tab(user, "s-2"), await inside.tab(other, "s-3")
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    await tab.say("and then")
    said = await asyncio.to_thread(erase, user)
    assert "Stopped 2 runs." in said
    assert await tab.until_closed() == await idle.until_closed() == 4501
    await theirs.say("hello")
    await theirs.until_ended()
    assert theirs.tab.transcript() == await inside.transcript("s-3")
    assert await query(lambda: set(ChatSession.objects.values_list("public_id", flat=True))) == {"s-3"}
    assert await query(lambda: set(Run.objects.values_list("session__owner", flat=True))) == {other.pk}
    assert await query(lambda: set(OpenSocket.objects.values_list("user", flat=True))) == {other.pk}
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_whoever_drives_a_run_that_is_deleted_stops_and_writes_nothing(
    inside: InProcessSite, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """As after an erasure that could not wait for it."""
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["Half of it", gate, " and the rest."])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    session_id = await query(lambda: ChatSession.objects.get().pk)
    assert not await query(deletion.delete_session, session_id)
    assert await query(lambda: deletion.delete_session(session_id, also_unfinished=True))
    await deletion.tell_gone([session_id])
    assert await tab.until_closed() == 4504
    gate.set()
    with pytest.raises(events.Superseded, match="is deleted"):
        await query(events.lock_run, run_id)
    await inside.restart_driver()
    assert not await query(Event.objects.exists)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
