"""The driver between two awaits: what is under way elsewhere is neither lost nor held up."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers

from chat import driver, events, runs
from chat.database import query, write
from chat.models import ChatSession, Run, RunState
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import ScriptedModel


async def session_of(inside: InProcessSite) -> ChatSession:
    user = await inside.user()
    return await query(lambda: ChatSession.objects.create(public_id="s-1", owner=user, agent="writer"))


async def accepted(session: ChatSession, message: str) -> str:
    """A message that nobody has been told of yet; returns its run's id."""
    return (await query(runs.accept, session.pk, message=message, agent=None, enable_reasoning=True)).run_id


async def test_a_lease_does_not_wait_for_those_who_read(inside: InProcessSite, settings: Any) -> None:
    """Where slow questions hold all threads that read, the runs stay here: who renews has a thread that reads nothing else."""
    settings.LEASE_SECONDS, settings.WATCH_SECONDS = 0.6, 0.05
    gate, answered = asyncio.Event(), threading.Event()
    settings.MODEL = ScriptedModel(["a", gate])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    reading = [asyncio.create_task(query(answered.wait, 20)) for _ in range(20)]
    try:
        seen: set[object] = set()
        async with asyncio.timeout(5):
            # One renewal may have been under way before.
            while len(seen) < 4:
                seen.add((await write(Run.objects.get)).lease_until)
                await asyncio.sleep(0.05)
    finally:
        answered.set()
        await asyncio.gather(*reading)
    gate.set()
    await tab.until_ended(run_id)


async def test_a_run_that_is_being_claimed_is_handed_over_too(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to end while the database still gives it a run, the process waits for that and lets go of it: no run counts as lost."""
    settings.MODEL = ScriptedModel(["a", asyncio.Event()])
    session = await session_of(inside)
    run_id = await accepted(session, "go")
    claiming, may_claim = asyncio.Event(), threading.Event()
    real, loop = runs.claim, asyncio.get_running_loop()

    def slow(*arguments: Any, **named: Any) -> runs.Claimed | None:
        loop.call_soon_threadsafe(claiming.set)
        may_claim.wait(10)
        return real(*arguments, **named)

    monkeypatch.setattr(runs, "claim", slow)
    ending = driver.current()
    driving = asyncio.create_task(ending.drive(run_id))
    await asyncio.wait_for(claiming.wait(), 10)
    draining = asyncio.create_task(ending.drain(0))
    loop.call_later(0.1, may_claim.set)
    await asyncio.wait_for(draining, 10)
    await ending.close()
    await driving
    run = await query(Run.objects.get)
    assert (run.state, run.attempt, run.worker, run.lease_until) == ("running", 1, "", None)


class LateLayer(InMemoryChannelLayer):  # type: ignore[misc]  # Channels ships no types
    """Holds the news of the first run's end back until `told`."""

    def __init__(self) -> None:
        super().__init__(capacity=1000)
        self.telling, self.told = asyncio.Event(), asyncio.Event()

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if message.get("ends") and not self.telling.is_set():
            self.telling.set()
            await self.told.wait()
        await super().group_send(group, message)


async def test_the_next_run_of_a_session_stays_reachable(inside: InProcessSite, settings: Any) -> None:
    """It may begin here while the end of the one before is still being told; who comes later gets its draft all the same."""
    settings.LAYER_SECONDS = 10
    layer = LateLayer()
    channel_layers.set("default", layer)
    settings.MODEL = ScriptedModel(["One."], ["Once upon", asyncio.Event()])
    session = await session_of(inside)
    first, second = await accepted(session, "go"), await accepted(session, "on")
    here = driver.current()
    driving = [asyncio.create_task(here.drive(first))]
    await asyncio.wait_for(layer.telling.wait(), 20)
    driving.append(asyncio.create_task(here.drive(second)))
    async with asyncio.timeout(10):
        while second not in here._reach:  # noqa: ASYNC110 - nothing tells when a run can be reached
            await asyncio.sleep(0.02)
    layer.told.set()
    await asyncio.wait_for(driving[0], 10)
    tab = await inside.tab(await query(lambda: session.owner))
    await tab.until(lambda tab: any(draft.text == "Once upon" for draft in tab.runs[second].drafts.values()))
    await here.close()
    await asyncio.gather(*driving)


class ShutLayer(InMemoryChannelLayer):  # type: ignore[misc]  # Channels ships no types
    """Does not take the first who wants into a driver's group."""

    has_refused = False

    async def group_add(self, group: str, channel: str) -> None:
        if not self.has_refused and group.startswith("driver."):
            self.has_refused = True
            raise ConnectionError
        await super().group_add(group, channel)


async def test_a_run_that_begins_while_the_layer_fails_is_reached_soon_after(
    inside: InProcessSite, settings: Any
) -> None:
    """Not with its next lease: a tab that comes has the text so far, though the model thinks on and says nothing."""
    settings.LEASE_SECONDS = 600
    layer = ShutLayer(capacity=1000)
    channel_layers.set("default", layer)
    settings.MODEL = ScriptedModel(["One ", end := asyncio.Event()])
    user = await inside.user()
    asking = await inside.tab(user)
    run_id = await asking.say("go")
    await asking.until(lambda tab: run_id in tab.runs and bool(tab.runs[run_id].drafts))
    assert layer.has_refused
    watching = await inside.tab(user)
    await watching.until(lambda tab: run_id in tab.runs and bool(tab.runs[run_id].drafts))
    end.set()
    await watching.until_ended(run_id)
    # Nor is it reached for longer than it is driven.
    async with asyncio.timeout(10):
        while run_id in driver.current()._reach or any(name.startswith("driver.") for name in layer.groups):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


async def test_an_end_that_is_committed_while_it_is_written_again(
    inside: InProcessSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try was cut off in its commit, and goes through while the second waits for the session: that one returns what
    stands, to be announced, and does not take it for somebody else's.
    """
    session = await session_of(inside)
    run_id = await accepted(session, "go")
    await query(runs.claim, session.pk, worker="w", model="m")
    lock_run = events.lock_run

    def committed_meanwhile(*arguments: Any, **named: Any) -> Run:
        monkeypatch.setattr(events, "lock_run", lock_run)
        runs.finish(run_id, attempt=1, state=RunState.COMPLETED)
        return lock_run(*arguments, **named)

    monkeypatch.setattr(events, "lock_run", committed_meanwhile)
    written = await query(runs.finish, run_id, attempt=1, state=RunState.COMPLETED, again=True)
    assert written[-1].ends == run_id
