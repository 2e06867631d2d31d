"""Faults at the worst moment: a database that is away, errors in the loops that everything hangs on, races with the end.

Where the real part can't be made to fail in time, the one call that would meet the fault is made to raise it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.db import InternalError, OperationalError, connections, transaction
from django.utils import timezone

from chat import events, group, leases, recovery, runs
from chat.database import query
from chat.models import ChatSession, Run
from chat.protocol import Close, Code
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import ScriptedModel


async def holding(tab: InProcessTab) -> str:
    """Ask, and return the run once its first text is there."""
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    return run_id


def failing_once(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, fault: Callable[..., Any]) -> asyncio.Event:
    """The next call of `module.name` does what `fault` does; the event is set once it has."""
    real, met, loop = getattr(module, name), asyncio.Event(), asyncio.get_running_loop()

    def call(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(module, name, real)
        loop.call_soon_threadsafe(met.set)
        return fault(*arguments, **named)

    monkeypatch.setattr(module, name, call)
    return met


def raising(error: Exception) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        raise error

    return call


async def test_a_database_away_for_longer_than_the_lease(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that could not renew its lease in time, and is still there, does not give up its own run."""
    settings.LEASE_SECONDS, settings.WATCH_SECONDS = 0.6, 0.05
    monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "timeout", 0.1)
    settings.SWEEP_SECONDS = 0.05
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["a", gate, "b"])
    tab = await inside.tab(await inside.user())
    run_id = await holding(tab)
    lock = sqlite3.connect(connections.settings["default"]["NAME"], isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    await asyncio.sleep(1.5)
    lock.execute("ROLLBACK")
    lock.close()
    renewed = timezone.now()
    async with asyncio.timeout(5):
        while not await query(lambda: Run.objects.filter(lease_until__gt=renewed).exists()):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.05)
    gate.set()
    await tab.until_ended(run_id)
    assert tab.tab.runs[run_id].state == "completed"


async def test_a_renewal_in_time_saves_a_run_that_was_about_to_be_given_up(inside: InProcessSite) -> None:
    """Between finding a run lost and ending it, its worker may come back: under the lock it is looked at again."""
    user = await inside.user()
    session = await query(lambda: ChatSession.objects.create(public_id="x", owner=user, agent="writer"))
    await query(runs.accept, session.pk, message="go", agent="writer", enable_reasoning=True)
    claimed = await query(runs.claim, session.pk, worker="elsewhere", model="m")
    assert claimed is not None
    await query(lambda: Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1)))
    ((run_id, attempt),) = await query(recovery.abandoned)
    assert await query(leases.renew, [run_id], worker="elsewhere") == {run_id}
    with pytest.raises(events.Superseded):
        await query(recovery.take_over, run_id, attempt=attempt, worker="here")


async def test_a_read_that_fails_while_forwarding_closes_nothing(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket survives a database that is away for a moment, and finds by itself what it could not read."""
    settings.MODEL = ScriptedModel(["a"])
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    session = await query(ChatSession.objects.get)
    met = failing_once(monkeypatch, events, "read_after", raising(OperationalError("database is locked")))
    accepted = await query(runs.accept, session.pk, message="go", agent="writer", enable_reasoning=True)
    await group.tell(group.of_session(session.pk), {"type": "recorded", "seq": 2, "texts": ["{}"], "ends": None})
    await asyncio.wait_for(met.wait(), 5)
    message = await tab.until_frame("message")
    assert message["run_id"] == accepted.run_id
    assert tab.close_code is None


async def test_a_connection_cut_after_the_commit_of_a_message(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is tried once more under the same id, also where the client gave it none: it is recorded and accepted once."""
    settings.MODEL = ScriptedModel(["a"])
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    real, cuts = runs.accept, [OperationalError("server closed the connection unexpectedly")]

    def cut_once(*arguments: Any, **named: Any) -> Any:
        accepted = real(*arguments, **named)
        if cuts:
            raise cuts.pop()
        return accepted

    monkeypatch.setattr(runs, "accept", cut_once)
    await tab.send("chat", payload={"message": "go"})
    accepted = await tab.until_frame("accepted")
    assert accepted["data"]["duplicate"]
    await tab.until_frame("reasoning_complete")
    assert await query(Run.objects.count) == 1


async def test_a_read_that_fails_after_a_message_was_recorded(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded is not told as not saved."""
    settings.MODEL = ScriptedModel(["a"])
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    met = failing_once(monkeypatch, events, "read_after", raising(OperationalError("server closed the connection")))
    await tab.say("go")
    await tab.until_frame("reasoning_complete")
    assert met.is_set()
    assert not [frame for frame in tab.frames if frame["type"] == "error"]


async def test_a_socket_that_ends_badly_leaves_nothing_behind(
    inside: InProcessSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its groups and its tasks go with it, also where it broke off while opening or its application is cancelled."""
    user = await inside.user()
    failing_once(monkeypatch, events, "head_of", raising(OperationalError("database is locked")))
    broken = await inside.tab(user, "one")
    assert await broken.until_closed() == Close.TRY_AGAIN
    await broken._socket.send_input({"type": "websocket.disconnect", "code": 4001})
    await broken._socket.wait(5)
    cancelled = await inside.tab(user, "two")
    await cancelled.until_frame("connected")
    cancelled._socket.future.cancel()
    await asyncio.wait([cancelled._socket.future])
    cancelled.close_code = 1006
    groups = {name: list(members) for name, members in get_channel_layer().groups.items() if members}
    assert not groups
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "_walk" in repr(task) or "keep_taking" in repr(task)]


async def test_the_sweep_goes_on_after_any_failure(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that vanished, its user deleted in between, does not keep others from being found."""
    settings.SWEEP_SECONDS = 0.05
    settings.MODEL = ScriptedModel(["a"])
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_current()
    gone = [("00000000-0000-0000-0000-000000000000", 1)]
    await asyncio.wait_for(failing_once(monkeypatch, recovery, "abandoned", lambda **_: gone).wait(), 5)
    session = await query(ChatSession.objects.get)
    await query(runs.accept, session.pk, message="go", agent="writer", enable_reasoning=True)
    async with asyncio.timeout(5):
        while (await query(Run.objects.get)).state != "completed":  # noqa: ASYNC110 - nobody woke this run
            await asyncio.sleep(0.05)


async def test_the_watch_goes_on_after_any_failure(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One renewal that fails in an unforeseen way costs no run: stops and leases go on."""
    settings.WATCH_SECONDS, settings.LEASE_SECONDS = 0.05, 0.3
    settings.MODEL = ScriptedModel(["a", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    run_id = await holding(tab)
    read_only = raising(InternalError("cannot execute UPDATE in a read-only transaction"))
    await asyncio.wait_for(failing_once(monkeypatch, leases, "renew", read_only).wait(), 5)
    session = await query(ChatSession.objects.get)
    await query(runs.stop, session.pk)
    await tab.until_ended(run_id)
    assert tab.tab.runs[run_id].state == "stopped"


async def test_interrupted_comes_also_where_the_end_was_faster(inside: InProcessSite, settings: Any) -> None:
    """A stop of a run whose end this socket has forwarded already is acknowledged at once."""
    settings.MODEL = ScriptedModel(["a"])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until_ended(run_id)
    await tab.send("interrupt", run_id=run_id)
    assert (await tab.until_frame("interrupted", timeout=3))["run_id"] == run_id
    assert tab.tab.runs[run_id].state == "completed"


async def test_a_late_stop_does_not_hit_the_next_run(inside: InProcessSite, settings: Any) -> None:
    """A stop that names its run leaves the one that began meanwhile alone; one of another session is not known."""
    never = asyncio.Event()
    settings.MODEL = ScriptedModel(["a"], ["b", never])
    user = await inside.user()
    tab = await inside.tab(user)
    first = await tab.say("first")
    await tab.until_ended(first)
    second = await holding(tab)
    await tab.send("interrupt", run_id=first)
    await tab.until_frame("interrupted")
    assert tab.tab.runs[second].state == "running"
    elsewhere = await inside.tab(user, "s-2")
    await elsewhere.send("interrupt", run_id=second)
    assert (await elsewhere.until_frame("error"))["data"]["code"] == Code.UNKNOWN_RUN
    await tab.send("interrupt", run_id=second)
    await tab.until_ended(second)
    assert tab.tab.runs[second].state == "stopped"


async def test_text_that_begins_right_after_a_resume_is_shown(inside: InProcessSite, settings: Any) -> None:
    """The first words come as they are said, though the model pauses after them; none is held back or lost."""
    settings.MODEL = ScriptedModel(["one ", "two ", asyncio.Event()])
    user = await inside.user()
    for index in range(6):
        tab = await inside.tab(user, f"s-{index}")
        await tab.until_frame("resumed")
        run_id = await tab.say("go")
        await tab.until(lambda tab, run_id=run_id: tab.runs[run_id].drafts[1].text == "one two ", timeout=5)  # type: ignore[misc] # mypy infers no lambda's default


async def test_a_resume_beside_a_frame_over_the_bound_is_answered(inside: InProcessSite, settings: Any) -> None:
    """A request that finds too much on its way waits for the acknowledgement, it is not lost."""
    settings.UNACKNOWLEDGED_BYTES = 10_000
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    await tab.send("resume", after=0)
    await tab.until_frame("resumed")
    await tab.send("ping", timestamp="x" * 20_000)
    await tab.until_frame("pong")
    seen = len(tab.frames)
    await tab.send("resume", after=0)
    await tab.send("ack", frames=seen)
    await tab.until_frame("resumed", seen)


async def test_acknowledging_what_was_never_sent_is_refused(inside: InProcessSite) -> None:
    """Nobody gets out of the bound by claiming to have read everything there will ever be."""
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    await tab.send("ack", frames=2**53)
    assert (await tab.until_frame("error"))["data"]["code"] == Code.BAD_FIELD


async def test_deactivating_in_a_transaction_closes_sockets(inside: InProcessSite) -> None:
    """As the admin's form does it: the sockets are told after the commit, when there is something to see."""
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_current()

    def deactivate() -> None:
        with transaction.atomic():
            found = User.objects.get(pk=user.pk)
            found.is_active = False
            found.save()

    await query(deactivate)
    assert await tab.until_closed(timeout=5) == Close.SIGNED_OUT
