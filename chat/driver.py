"""Drives runs: claims them, lets the agent think, records and announces what it says, keeps the leases, sweeps up.

One driver in a process, in one event loop. A run belongs to no connection: it lives in the driver's tasks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import InterfaceError, OperationalError

from agents import failures, history, llm, registry
from agents.context import Excerpt, RunContext
from agents.steps import Delta, Discard, Step, StepType
from agents.stream import Mapper, stream
from chat import events, runs, search
from chat.database import query
from chat.drafts import Drafts
from chat.models import RunState

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


def group_name(session_id: int) -> str:
    """The group by which whoever drives the session's run is reached."""
    return f"driver.{session_id}"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends; code and message say why where it failed."""

    state: RunState
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class Driving:
    """A run under way in this process. `steps` is the number of its last recorded step."""

    claimed: runs.Claimed
    drafts: Drafts
    thinking: asyncio.Task[None] | None = None
    stopping: bool = False
    superseded: bool = False
    ending: bool = False
    reachable: bool = False
    steps: int = 0
    mapper: Mapper = field(default_factory=Mapper)

    @property
    def run_id(self) -> str:
        return str(self.claimed.run.pk)

    def cut(self) -> None:
        if self.thinking is not None:
            self.thinking.cancel()


class Driver:
    """See the module. `wake` is how a message that was just recorded gets its run going."""

    def __init__(self) -> None:
        self.worker = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._driving: dict[str, Driving] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._channel = ""
        self._agents: dict[str, registry.Agent] = {}

    def start(self) -> None:
        """Begin to watch, sweep and listen. Called once, in the event loop that the driver lives in."""
        self._spawn(self._watch())
        self._spawn(self._sweep())
        self._spawn(self._listen())

    async def close(self) -> None:
        """Leave everything as a killed process would: whatever runs is found by its lease."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def wake(self, session_id: int) -> None:
        """Drive the session's queued runs, one after the other, if nobody does so already."""
        self._spawn(self._drive_session(session_id))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("A task of the driver failed", exc_info=task.exception())

    # --- driving ---

    async def _drive_session(self, session_id: int) -> None:
        while True:
            claimed = await query(runs.claim, session_id, worker=self.worker, model=_model_name())
            if claimed is None:
                return
            await self._drive(claimed)

    async def _drive(self, claimed: runs.Claimed) -> None:
        run = claimed.run
        tell = partial(events.tell_draft, run.session_id) if run.enable_reasoning else None
        driving = Driving(claimed, Drafts(run_id=str(run.pk), attempt=run.attempt, tell=tell))
        self._driving[driving.run_id] = driving
        telling = self._spawn(driving.drafts.keep_telling())
        try:
            await self._become_reachable(driving)
            await events.announce(run.session_id, claimed.recorded)
            ending = await self._outcome(driving)
            driving.ending = True
            telling.cancel()
            if ending is not None:
                await self._end(driving, ending)
        except events.Superseded as error:
            logger.warning("Superseded: %s", error)
        finally:
            telling.cancel()
            driving.cut()
            del self._driving[driving.run_id]
            await self._become_unreachable(driving)

    async def _think(self, driving: Driving) -> None:
        """Run the agent to its end, recording each step before it is announced."""
        run = driving.claimed.run
        agent = await self._agent(run.agent)
        conversation = history.messages(driving.claimed.turns, ask=run.message)
        context = RunContext(search_sessions=partial(self._search, driving.claimed))
        async with asyncio.timeout(settings.RUN_SECONDS):
            said_by_agent = stream(agent, conversation, context=context, mapper=driving.mapper)
            async with contextlib.aclosing(said_by_agent) as said_in_order:
                async for said in said_in_order:
                    match said:
                        case Delta():
                            driving.drafts.add(said)
                        case Discard():
                            driving.drafts.discard(said)
                        case Step():
                            await uncut(self._record(driving, said))

    async def _agent(self, name: str) -> registry.Agent:
        """The agent, made once for each name. In a thread: importing a provider takes seconds."""
        if name not in self._agents:
            model = await asyncio.to_thread(
                llm.chat_model,
                settings.MODEL,
                openai_base_url=settings.OPENAI_BASE_URL,
                demo_delay=settings.DEMO_TOKEN_SECONDS,
            )
            self._agents[name] = registry.build(name, model=model, max_iterations=settings.MAX_ITERATIONS)
        return self._agents[name]

    async def _record(self, driving: Driving, step: Step) -> None:
        run = driving.claimed.run
        recorded = await self._persist(partial(events.record_step, driving.run_id, attempt=run.attempt, step=step))
        driving.steps = step.number
        driving.drafts.recorded(step.number)
        await events.announce(run.session_id, recorded)

    async def _outcome(self, driving: Driving) -> Ending | None:
        """Let the agent think to its end and say how the run ends; None where it is no longer ours to end."""
        thinking = asyncio.create_task(self._think(driving))
        driving.thinking = thinking
        try:
            await asyncio.wait([thinking])
            thinking.result()
        except asyncio.CancelledError:
            if driving.superseded:
                return None
            if not driving.stopping:
                raise
            return Ending(RunState.STOPPED)
        except events.Superseded:
            return None
        except (
            Exception
        ) as error:  # The one broad except: whatever an agent, a model or a tool does ends in a failed run.
            failure = failures.explain(error, run_seconds=settings.RUN_SECONDS)
            logger.warning("Run %s failed: %s", driving.run_id, failure.code, exc_info=error)
            return Ending(RunState.FAILED, failure.code, failure.message)
        return Ending(RunState.COMPLETED)

    async def _end(self, driving: Driving, ending: Ending) -> None:
        """Record the end of a run, with what was said so far where it was cut off, and announce it."""
        run = driving.claimed.run
        steps = driving.drafts.partial() if ending.state is not RunState.COMPLETED else []
        steps = [step for step in steps if step.number > driving.steps]
        if ending.state is RunState.FAILED:
            last = steps[-1].number if steps else driving.steps
            iteration = driving.mapper.iteration
            steps.append(
                Step(
                    number=last + 1,
                    type=StepType.ERROR,
                    content=ending.message,
                    iteration=iteration,
                    code=ending.code,
                )
            )
        finish = partial(
            runs.finish,
            driving.run_id,
            attempt=run.attempt,
            state=ending.state,
            steps=steps,
            code=ending.code,
            message=ending.message,
        )
        await events.announce(run.session_id, await self._persist(finish))

    async def _persist(self, write: partial[list[events.Recorded]]) -> list[events.Recorded]:
        """Write, and try again for as long as the database is away. Raises `events.Superseded` if somebody else took
        over.
        """
        pause = FIRST_PAUSE_SECONDS
        try:
            return await query(write)
        except (OperationalError, InterfaceError) as error:
            failed = error
        while True:
            logger.warning("The database did not take a write, trying again in %.1f s: %s", pause, failed)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            try:
                return await query(write, again=True)
            except (OperationalError, InterfaceError) as error:
                failed = error

    async def _search(self, claimed: runs.Claimed, words: str, limit: int) -> list[Excerpt]:
        return await query(search.search, claimed.owner_id, words, limit, except_session=claimed.run.session_id)

    # --- being reached: stop, and drafts for those who come in the middle ---

    async def _listen(self) -> None:
        layer = get_channel_layer()
        while True:
            try:
                self._channel = self._channel or await layer.new_channel("driver")
                message = await layer.receive(self._channel)
            except Exception as error:  # noqa: BLE001 - the layer's errors have no common base; stops still come by the database.
                logger.warning("The driver could not listen: %s", type(error).__name__)
                await asyncio.sleep(LONGEST_PAUSE_SECONDS)
                continue
            for driving in list(self._driving.values()):
                if driving.claimed.run.session_id != message["session"]:
                    continue
                match message["type"]:
                    case "draft.wanted":
                        drafts = {"type": "drafts", "texts": driving.drafts.so_far()}
                        await events.reply(message["channel"], drafts)
                    case "stop.wanted":
                        await self._stop_asked([driving])

    async def _become_reachable(self, driving: Driving) -> None:
        group = group_name(driving.claimed.run.session_id)
        driving.reachable = bool(self._channel) and await events.join(group, self._channel)

    async def _become_unreachable(self, driving: Driving) -> None:
        if driving.reachable:
            await events.leave(group_name(driving.claimed.run.session_id), self._channel)

    # --- watching: stops and leases by the database ---

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        while True:
            await asyncio.sleep(settings.WATCH_SECONDS)
            if not self._driving:
                renewed_at = loop.time()
                continue
            try:
                await self._stop_asked(list(self._driving.values()))
                if loop.time() - renewed_at >= settings.LEASE_SECONDS / 3:
                    await self._renew()
                    renewed_at = loop.time()
            except (OperationalError, InterfaceError) as error:
                logger.warning("The driver could not ask for stops: %s", error)

    async def _stop_asked(self, candidates: list[Driving]) -> None:
        asked = await query(runs.asked_to_stop, [driving.run_id for driving in candidates])
        for driving in candidates:
            if driving.run_id in asked and not driving.stopping:
                driving.stopping = True
                driving.cut()

    async def _renew(self) -> None:
        held = await query(runs.renew, list(self._driving), worker=self.worker)
        for run_id, driving in self._driving.items():
            if run_id not in held and not driving.ending:
                driving.superseded = True
                driving.cut()
            elif not driving.reachable:
                await self._become_reachable(driving)

    # --- sweeping: runs that lost their process, messages that nobody took up ---

    async def _sweep(self) -> None:
        # Where no layer connects processes, there is only this one: what it does not hold, nobody does.
        alone = None if settings.REDIS_URL else self.worker
        while True:
            try:
                for run_id, attempt in await query(runs.abandoned, mine_alone=alone):
                    with contextlib.suppress(events.Superseded):
                        session_id, recorded = await query(runs.give_up, run_id, attempt=attempt)
                        await events.announce(session_id, recorded)
                for session_id in await query(runs.sessions_waiting):
                    self.wake(session_id)
            except (OperationalError, InterfaceError) as error:
                logger.warning("The driver could not sweep: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)


def _model_name() -> str:
    return settings.MODEL if isinstance(settings.MODEL, str) else str(settings.MODEL._llm_type)


async def uncut(work: Coroutine[Any, Any, None]) -> None:
    """Await the work to its end, also when cancelled meanwhile; the cancellation goes on afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


_drivers: WeakKeyDictionary[asyncio.AbstractEventLoop, Driver] = WeakKeyDictionary()


def current() -> Driver:
    """The driver of the running event loop, started on first use."""
    loop = asyncio.get_running_loop()
    if loop not in _drivers:
        _drivers[loop] = Driver()
        _drivers[loop].start()
    return _drivers[loop]


def forget() -> None:
    """Let the next call of `current` make a new driver, after this loop's was closed."""
    _drivers.pop(asyncio.get_running_loop(), None)


async def stop(session_id: int) -> runs.Stopping:
    """Record that the session's run is to stop and tell whoever drives it; the run has ended when its end is recorded."""
    stopping = await query(runs.stop, session_id)
    await events.announce(session_id, stopping.recorded)
    if stopping.run_id and not stopping.recorded:
        await events.tell(group_name(session_id), {"type": "stop.wanted", "session": session_id})
    return stopping


async def want_drafts(session_id: int, channel: str) -> None:
    """Ask whoever drives the session's run to send its drafts so far to a channel."""
    await events.tell(group_name(session_id), {"type": "draft.wanted", "session": session_id, "channel": channel})
