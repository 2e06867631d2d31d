"""The driver of a process: claims runs, keeps their leases, hears of stops, and sweeps up what other processes lost.

There is one in a process, in one event loop. Its runs live in its tasks, whatever becomes of the sockets that watch them.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import secrets
import sys
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.conf import settings

from agents.model_choice import describe
from chat import events, keeper, leases, log_context, metrics, processes, recovery, run_queue, runs, traces
from chat.database import hold, query, write
from chat.left_runs import LeftRuns
from chat.prepared_agents import PreparedAgents
from chat.reach import Reach
from chat.sweeper import Sweeper, survived

if TYPE_CHECKING:
    from chat.driving import Driving

logger = logging.getLogger(__name__)


class Driver:
    """See the module. `wake` is how a message that was just recorded gets its run going where this process drives runs itself;
    `drive` is how a worker does it. `capacity` bounds the runs that are driven at once.
    """

    def __init__(self, *, capacity: int | None = None) -> None:
        # Begins with the process's name: of two drivers that one process has had, one may find the other's runs.
        self.worker = f"{processes.NAME}-{secrets.token_hex(2)}"
        self._driving: dict[str, Driving] = {}
        self._room = asyncio.Semaphore(capacity) if capacity else contextlib.nullcontext()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reach = Reach(driven=self._driving.values, look=self._begin_looking)
        self._agents = PreparedAgents()
        self._awake: set[int] = set()
        self._woken_again: set[int] = set()
        self._taking_over: set[str] = set()
        self._left = LeftRuns()
        self._at_runs: set[asyncio.Task[None]] = set()
        self._draining = self._cutting = False
        # Where nothing connects processes, there is only this one: what it does not hold, nobody does.
        self._alone = None if settings.REDIS_URL or settings.HAS_WORKERS else self.worker
        self._sweeper = Sweeper(
            alone=self._alone,
            # A run of its own that it could not renew in time, it renews: the process is there.
            holds=lambda run_id: run_id in self._driving or run_id in self._taking_over,
            take_over=self._begin_taking_over,
            wake=self.wake,
        )

    def start(self) -> None:
        """Begin to watch, sweep and listen. Called once, in the event loop that the driver lives in."""
        self._spawn(self._warm_up())
        self._spawn(self._keep_looking())
        self._spawn(self._keep_leases())
        self._sweeping = self._spawn(self._sweeper.keep_sweeping())
        self._spawn(self._reach.listen())
        self._spawn(self._reach.keep_joining())
        self._spawn(keeper.keep())

    async def close(self) -> None:
        """Leave everything as a killed process would: whatever runs is found by its lease."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def drain(self, seconds: float) -> None:
        """Begin nothing new; let each run go on to its next step, or its end if that comes first, and hand it over. What has not
        come so far after so many seconds is cut and handed over as it is.
        """
        self._draining = True
        self._sweeping.cancel()
        for driving in list(self._driving.values()):
            driving.hand_over()
        await self._until_idle(seconds)
        self._cutting = True
        for driving in list(self._driving.values()):
            driving.hand_over(at_once=True)
        await self._until_idle(settings.DATABASE_SECONDS)

    async def _until_idle(self, seconds: float) -> None:
        """Nothing is driven, and nothing is on its way here from the database."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._at_runs:
                    await asyncio.wait(self._at_runs)

    @property
    def active(self) -> int:
        """How many runs it drives."""
        return len(self._driving)

    def wake(self, session_id: int) -> None:
        """Drive the session's queued runs, one after the other, if nobody does so already."""
        if session_id in self._awake:
            # It may just have found nothing more.
            self._woken_again.add(session_id)
        elif not self._draining:
            self._awake.add(session_id)
            self._spawn(self._drive_session(session_id), for_runs=True)

    async def drive(self, run_id: str) -> None:
        """Drive this run to its end if it is its turn and nobody does so already. Cancelled, it leaves the run to go on here."""
        task = self._spawn(self._drive_run(run_id), for_runs=True)
        await asyncio.wait([task])

    def _spawn(self, work: Coroutine[Any, Any, None], *, for_runs: bool = False) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        for kept in (self._tasks, self._at_runs) if for_runs else (self._tasks,):
            kept.add(task)
            task.add_done_callback(kept.discard)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.error("A task of the driver failed", exc_info=task.exception())

    # --- driving ---

    async def _warm_up(self) -> None:
        """Import LangChain, which takes seconds, while nobody waits for it."""
        if "chat.driving" not in sys.modules:
            await asyncio.to_thread(importlib.import_module, "chat.driving")

    async def _drive_session(self, session_id: int) -> None:
        try:
            await self._warm_up()
            while not self._draining:
                self._woken_again.discard(session_id)
                if not await self._drive_next(session_id) and session_id not in self._woken_again:
                    break
        finally:
            self._awake.discard(session_id)
            self._woken_again.discard(session_id)

    async def _drive_next(self, session_id: int, run_id: str | None = None) -> bool:
        """Drive the session's next queued run to its end; False where there is none, or another than the named one."""
        model = describe(settings.MODEL)
        claimed = await write(runs.claim, session_id, worker=self.worker, model=model, run_id=run_id)
        if claimed is None:
            return False
        await self._drive(claimed)
        return True

    async def _drive_run(self, run_id: str) -> None:
        await self._warm_up()
        async with self._room:
            with survived("drive a run"):
                begun = await query(recovery.begun, run_id)
                is_taken = begun is not None and begun.taken_from == self.worker
                is_left = is_taken and await self._left.leave(run_id, self._driving.get(run_id))
                if is_left or (self._draining and run_id not in self._driving):
                    await write(run_queue.enqueue_unfinished, run_id)
                elif run_id in self._driving:
                    return
                elif begun is not None:
                    await self._take_over(run_id, begun.attempt)
                elif (session_id := await query(runs.session_of, run_id)) is not None:
                    await self._drive_next(session_id, run_id)

    async def _drive(self, claimed: runs.Claimed) -> None:
        from chat.driving import Driving

        driving = Driving(claimed)
        self._driving[driving.run_id] = driving
        metrics.driving_began()
        if self._draining:
            driving.hand_over(at_once=self._cutting)
        try:
            run = claimed.run
            with log_context.about(session=run.session.public_id, run=driving.run_id, attempt=run.attempt):
                await self._reach.join(driving)
                await driving.drive(partial(self._agents.agent, driving))
        finally:
            del self._driving[driving.run_id]
            metrics.driving_ended()
            traces.attempt_ended(driving.run_id, claimed.run.attempt)
            await self._reach.leave(driving)

    async def _take_over(self, run_id: str, attempt: int) -> None:
        found = await write(recovery.take_over, run_id, attempt=attempt, worker=self.worker, mine_alone=self._alone)
        if isinstance(found, recovery.Ended):
            await events.announce(found.session_id, found.recorded)
            traces.attempt_ended(run_id, found.attempt)
        else:
            logger.warning("Run %s goes on here, attempt %d", run_id, found.run.attempt)
            await self._warm_up()
            await self._drive(found)

    # --- watching: stops and leases by the database ---

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(settings.WATCH_SECONDS)
            if self._driving:
                with survived("look for stops"):
                    await self._look(list(self._driving.values()))

    async def _keep_leases(self) -> None:
        """On its own: a lease must not wait until those who read have let the stops be read."""
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        while True:
            await asyncio.sleep(settings.WATCH_SECONDS)
            now = loop.time()
            if not self._driving:
                renewed_at = now
            elif now - renewed_at >= settings.LEASE_SECONDS / 3:
                with survived("renew its leases"):
                    await self._renew()
                    renewed_at = now

    def _begin_looking(self, driving: Driving) -> None:
        self._spawn(self._look([driving]))

    async def _look(self, candidates: list[Driving]) -> None:
        told = await query(leases.told, [driving.run_id for driving in candidates], worker=self.worker)
        for driving in candidates:
            if driving.run_id in told.to_stop:
                driving.stop()
            elif driving.run_id in told.taken:
                driving.let_go()

    async def _renew(self) -> None:
        driven = list(self._driving.values())
        held = await hold(leases.renew, [driving.run_id for driving in driven], worker=self.worker)
        for driving in driven:
            if driving.run_id not in held:
                driving.let_go()

    def _begin_taking_over(self, run_id: str, attempt: int) -> None:
        self._taking_over.add(run_id)
        self._spawn(self._survive_taking_over(run_id, attempt), for_runs=True)

    async def _survive_taking_over(self, run_id: str, attempt: int) -> None:
        try:
            with survived("take a lost run over"):
                await self._take_over(run_id, attempt)
        finally:
            self._taking_over.discard(run_id)
        if (session_id := await query(runs.session_of, run_id)) is not None:
            self.wake(session_id)


_drivers: WeakKeyDictionary[asyncio.AbstractEventLoop, Driver] = WeakKeyDictionary()


def current() -> Driver:
    """The driver of the running event loop, started on first use."""
    return _drivers.get(asyncio.get_running_loop()) or begin(Driver())


def begin(driver: Driver) -> Driver:
    """Start a driver as that of the running event loop."""
    _drivers[asyncio.get_running_loop()] = driver
    driver.start()
    return driver


def forget() -> None:
    """Let the next call of `current` make a new driver, after this loop's was closed."""
    _drivers.pop(asyncio.get_running_loop(), None)
