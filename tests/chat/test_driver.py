"""Driving runs: leases, lost processes, fencing, failures; what is written, and that it is written once."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.utils import timezone

from agents.steps import Step, StepType
from chat import driver, events, leases, recovery, runs
from chat.database import query
from chat.models import ChatSession, Event, EventType, Run, RunState
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import Call, ScriptedModel, Think


async def running(tab: InProcessTab, message: str = "go") -> str:
    """Ask, and return the run once its first text is there."""
    run_id = await tab.say(message)
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    return run_id


def steps_of(tab: InProcessTab) -> list[tuple[str, str]]:
    return [(f["data"]["type"], f["data"]["content"]) for f in tab.frames if f["type"] == "reasoning_step"]


async def test_a_run_that_lost_its_process_ends_and_offers_to_try_again(inside: InProcessSite, settings: Any) -> None:
    """Lost as often as it may be, the run ends in one error step after the restart; what waits behind it runs next."""
    settings.ATTEMPTS = 1
    settings.MODEL = ScriptedModel(["Half of it", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    lost = await running(tab)
    waiting = await tab.say("next")
    await inside.restart_driver()
    settings.MODEL = ScriptedModel(["Whole."])
    driver.current()
    await tab.until_ended(waiting)
    assert (tab.tab.runs[lost].state, tab.tab.runs[waiting].state) == ("failed", "completed")
    assert not tab.tab.runs[lost].drafts
    end = next(f for f in tab.frames if f["type"] == "reasoning_complete" and f["run_id"] == lost)
    assert end["data"]["code"] == "lost"
    assert "try again" in end["data"]["message"]
    assert [kind for kind, _ in steps_of(tab)] == ["error", "final_answer"]
    assert tab.tab.transcript() == await inside.transcript("s-1")


async def test_where_others_drive_too_only_a_passed_lease_is_lost(inside: InProcessSite, settings: Any) -> None:
    """With a layer that connects processes, a run of another worker is left alone until its lease has passed."""
    user = await inside.user()
    session = await query(lambda: ChatSession.objects.create(public_id="x", owner=user, agent="writer"))
    await query(runs.accept, session.pk, message="go", agent="writer", enable_reasoning=True)
    claimed = await query(runs.claim, session.pk, worker="elsewhere", model="m")
    assert claimed is not None
    assert await query(recovery.abandoned) == []
    assert await query(recovery.abandoned, mine_alone="elsewhere") == []
    assert await query(recovery.abandoned, mine_alone="here") == [(str(claimed.run.pk), 1)]
    await query(lambda: Run.objects.update(lease_until=timezone.now() - timedelta(seconds=1)))
    assert await query(recovery.abandoned) == [(str(claimed.run.pk), 1)]
    assert await query(leases.renew, [str(claimed.run.pk)], worker="elsewhere") == {str(claimed.run.pk)}
    assert await query(recovery.abandoned) == []
    assert await query(leases.renew, [str(claimed.run.pk)], worker="here") == set()


async def test_the_lease_is_renewed_while_the_run_lasts(inside: InProcessSite, settings: Any) -> None:
    """A run that takes longer than its lease keeps it."""
    settings.LEASE_SECONDS, settings.WATCH_SECONDS = 0.6, 0.05
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["a", gate])
    tab = await inside.tab(await inside.user())
    run_id = await running(tab)
    first = (await query(Run.objects.get)).lease_until
    async with asyncio.timeout(5):
        while (await query(Run.objects.get)).lease_until == first:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.05)
    gate.set()
    await tab.until_ended(run_id)
    assert tab.tab.runs[run_id].state == "completed"


async def test_a_writer_with_an_older_attempt_is_refused(inside: InProcessSite, settings: Any) -> None:
    """Taken over meanwhile, the old driver writes neither step nor ending, and stops."""
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["a", gate, "b"])
    tab = await inside.tab(await inside.user())
    run_id = await running(tab)
    await query(lambda: Run.objects.update(attempt=2, worker="elsewhere"))
    step = Step(number=1, type=StepType.THOUGHT, content="late", iteration=1)
    with pytest.raises(events.Superseded):
        await query(events.record_steps, run_id, attempt=1, steps=[step])
    with pytest.raises(events.Superseded):
        await query(runs.finish, run_id, attempt=1, state=RunState.COMPLETED)
    gate.set()
    async with asyncio.timeout(5):
        while driver.current()._driving:  # noqa: ASYNC110 - nothing tells when a driver lets go
            await asyncio.sleep(0.02)
    kinds = await query(lambda: list(Event.objects.order_by("seq").values_list("type", flat=True)))
    assert kinds == ["message", "run_start"]


async def test_a_run_taken_away_is_let_go(inside: InProcessSite, settings: Any) -> None:
    """A driver that finds its lease with somebody else stops thinking at once."""
    settings.LEASE_SECONDS, settings.WATCH_SECONDS = 0.3, 0.05
    settings.MODEL = ScriptedModel(["a", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    await running(tab)
    await query(
        lambda: Run.objects.update(attempt=2, worker="elsewhere", lease_until=timezone.now() + timedelta(hours=1))
    )
    settings.REDIS_URL = "redis://not-used"
    async with asyncio.timeout(5):
        while driver.current()._driving:  # noqa: ASYNC110 - nothing tells when a driver lets go
            await asyncio.sleep(0.02)
    assert await query(lambda: Event.objects.filter(type=EventType.RUN_END).count()) == 0


async def test_the_database_holds_the_laws(inside: InProcessSite) -> None:
    """Two active runs in a session, two endings of a run, two events of one `seq`: the database refuses each."""
    user = await inside.user()

    def attempts() -> None:
        session = ChatSession.objects.create(public_id="x", owner=user, agent="writer")
        one = Run.objects.create(session=session, client_id="1", seq=1, message="a", agent="writer")
        two = Run.objects.create(session=session, client_id="2", seq=2, message="b", agent="writer")
        Run.objects.filter(pk=one.pk).update(state=RunState.RUNNING)
        now = timezone.now()
        end = {"session": session, "run": one, "type": EventType.RUN_END, "created_at": now}
        Event.objects.create(seq=1, **end)
        refused = (
            lambda: Run.objects.filter(pk=two.pk).update(state=RunState.WAITING),
            lambda: Run.objects.create(session=session, client_id="1", seq=3, message="c", agent="writer"),
            lambda: Run.objects.filter(pk=one.pk).update(ended_at=now),
            lambda: Event.objects.create(seq=2, **end),
            lambda: Event.objects.create(seq=1, session=session, run=two, type=EventType.MESSAGE, created_at=now),
        )
        for attempt in refused:
            with pytest.raises(IntegrityError), transaction.atomic():
                attempt()

    await query(attempts)


async def test_a_failing_model_ends_the_run_with_a_sentence(inside: InProcessSite, settings: Any) -> None:
    """What was said so far is kept, one error step follows, the session goes on; no detail of the exception gets out."""
    settings.MODEL = ScriptedModel([Think("Hm. "), "Half", ConnectionError("sk-secret")], ["Whole"])
    tab = await inside.tab(await inside.user())
    failed = await tab.say("go")
    await tab.until_ended(failed)
    kinds = steps_of(tab)
    assert kinds[:2] == [("thought", "Hm. "), ("final_answer", "Half")]
    assert kinds[2][0] == "error"
    assert "Try again" in kinds[2][1]
    assert "sk-secret" not in str(tab.frames)
    again = await tab.say("go")
    await tab.until_ended(again)
    assert tab.tab.runs[again].state == "completed"


async def test_the_limit_of_iterations_ends_in_an_error_step(inside: InProcessSite, settings: Any) -> None:
    """The step says that the limit was reached, and how far the run came is kept."""
    settings.MAX_ITERATIONS = 2
    settings.MODEL = ScriptedModel([Call("calculator", {"expression": "1+1"})])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("for ever"))
    assert [kind for kind, _ in steps_of(tab)] == ["tool_use", "tool_result"] * 2 + ["error"]
    assert "2 model calls" in steps_of(tab)[-1][1]
    assert (await query(Run.objects.get)).error_code == "max_iterations"


async def test_a_run_that_takes_too_long_is_ended(inside: InProcessSite, settings: Any) -> None:
    """A model that hangs costs `RUN_SECONDS`, not for ever."""
    settings.RUN_SECONDS = 0.3
    settings.MODEL = ScriptedModel(["a", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("go"))
    assert (await query(Run.objects.get)).error_code == "timed_out"
    assert steps_of(tab)[0] == ("final_answer", "a")


async def test_a_database_that_is_away_loses_and_doubles_nothing(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database takes no write, the run waits with its step; then each step is there once."""
    monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "timeout", 0.1)
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["a", gate, Call("calculator", {"expression": "1+1"})], ["b"])
    tab = await inside.tab(await inside.user())
    run_id = await running(tab)
    lock = sqlite3.connect(connections.settings["default"]["NAME"], isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    gate.set()
    await asyncio.sleep(0.7)
    await tab.send("chat", payload={"message": "more"}, client_id="c-1")
    error = await tab.until_frame("error")
    assert (error["data"]["code"], error["data"]["client_id"]) == ("not_saved", "c-1")
    assert not [frame for frame in tab.frames if frame["type"] == "reasoning_step"]
    lock.execute("ROLLBACK")
    lock.close()
    await tab.until_ended(run_id)
    assert [kind for kind, _ in steps_of(tab)] == ["thought", "tool_use", "tool_result", "final_answer"]
    assert tab.tab.transcript() == await inside.transcript("s-1")


async def test_a_write_repeated_after_an_unknown_end_is_written_once(inside: InProcessSite, settings: Any) -> None:
    """Where the commit went through but its answer got lost, the second try returns what the first wrote."""
    user = await inside.user()
    session = await query(lambda: ChatSession.objects.create(public_id="x", owner=user, agent="writer"))
    accepted = await query(runs.accept, session.pk, message="go", agent="writer", enable_reasoning=True)
    await query(runs.claim, session.pk, worker="w", model="m")
    step = Step(number=1, type=StepType.THOUGHT, content="a", iteration=1)
    first = await query(events.record_steps, accepted.run_id, attempt=1, steps=[step])
    assert await query(events.record_steps, accepted.run_id, attempt=1, steps=[step], again=True) == first
    with pytest.raises(IntegrityError):
        await query(events.record_steps, accepted.run_id, attempt=1, steps=[step])
    await query(runs.finish, accepted.run_id, attempt=1, state=RunState.COMPLETED)
    written = await query(runs.finish, accepted.run_id, attempt=1, state=RunState.COMPLETED, again=True)
    assert [item.seq for item in written] == [2, 3, 4]
    with pytest.raises(events.Superseded):
        await query(runs.finish, accepted.run_id, attempt=1, state=RunState.FAILED, code="x", message="y")


async def test_the_search_tool_sees_the_users_own_earlier_sessions_only(inside: InProcessSite, settings: Any) -> None:
    """Nobody's tool finds what somebody else said, nor the session that asks."""
    settings.MODEL = ScriptedModel(["The pelican is pink."])
    ada, eve = await inside.user(), await inside.user("eve")
    for user, session_id in ((ada, "ada-1"), (eve, "eve-1")):
        tab = await inside.tab(user, session_id)
        await tab.until_ended(await tab.say(f"What colour is the pelican of {user.username}?"))
    await inside.restart_driver()
    settings.MODEL = ScriptedModel([Call("search_sessions", {"query": "pelican"})], ["Pink."])
    tab = await inside.tab(ada, "ada-2")
    await tab.until_ended(await tab.say("What did I learn of the pelican?"))
    result = next(content for kind, content in steps_of(tab) if kind == "tool_result")
    assert "pelican of ada" in result
    assert "eve" not in result
    assert "What did I learn" not in result


async def test_a_message_is_taken_up_whose_wake_comes_when_the_driver_has_just_found_none(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look that finds nothing and its end; nobody else would wake it."""
    settings.MODEL = ScriptedModel(["one"], ["two"])
    settings.SWEEP_SECONDS = 3600
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("first"))
    async with asyncio.timeout(5):
        while driver.current()._awake:  # noqa: ASYNC110 - nothing tells when a driver sleeps
            await asyncio.sleep(0.01)
    session = await query(ChatSession.objects.get)
    claim = runs.claim
    accepted: list[Any] = []

    def claimed_too_early(session_id: int, **named: Any) -> Any:
        found = claim(session_id, **named)
        if not accepted:
            assert found is None
            accepted.append(runs.accept(session_id, message="second", agent="writer", enable_reasoning=True))
            loop.call_soon_threadsafe(here.wake, session_id)
        return found

    here, loop = driver.current(), asyncio.get_running_loop()
    monkeypatch.setattr(runs, "claim", claimed_too_early)
    here.wake(session.pk)
    async with asyncio.timeout(5):
        while not await query(Run.objects.filter(message="second", state="completed").exists):  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.02)
