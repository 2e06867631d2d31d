"""One run of chaos: a load, faults in several lanes at once, and after each batch a verdict about every session."""

from __future__ import annotations

import asyncio
import random
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos.baseline import Baseline, excess, measure
from tests.chaos.checker import Violation
from tests.chaos.ledger_agent import AGAIN, ONCE
from tests.chaos.report import Done
from tests.chaos.schedule import Planned
from tests.chaos.script import booking, counting
from tests.chaos.world import World

FAULT_SECONDS = 240.0
# Its own beginning and its own end.
OWN_UPHEAVALS = 2
REST_SECONDS = 90.0
# What the pools of a process may keep: Django's and the queue's.
CONNECTIONS = 12

Say = Callable[[str], None]


@dataclass
class Run:
    """Brings about what is planned. `resting` says that in the end it waits for what is held to be what it was."""

    world: World
    seed: int
    speakers: int
    batch: int
    say: Say
    resting: bool = True
    done: list[Done] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    async def through(self, planned: Sequence[Planned], *, until: float) -> None:
        """All faults, so many to a batch, unless the time (`time.monotonic`) runs out before."""
        before = await self._warm()
        for first in range(0, len(planned), self.batch):
            if time.monotonic() > until:
                self._tell(f"the time is over; {len(planned) - first} faults did not take place")
                break
            await self._batch(planned[first : first + self.batch], f"{self.seed}-{first}")
        if self.resting:
            await self._rest(before)

    async def _batch(self, planned: Sequence[Planned], seed: str) -> None:
        world, stop = self.world, asyncio.Event()
        talking = [
            asyncio.create_task(self._talk(random.Random(f"{seed}-{number}"), stop)) for number in range(self.speakers)
        ]
        lanes = dict.fromkeys(one.kind.lane for one in planned)
        await asyncio.gather(*(self._lane([one for one in planned if one.kind.lane == lane]) for lane in lanes))
        settling, sessions = time.monotonic(), len(world.sessions)
        stop.set()
        await asyncio.gather(*talking)
        found = await world.judge()
        self.violations += found
        seconds = time.monotonic() - settling
        self._tell(f"settled, {sessions} sessions checked in {seconds:.1f} s: {len(found) or 'no'} violations")
        for violation in found:
            self.say(f"         {violation}"[:3000])

    async def _talk(self, chance: random.Random, stop: asyncio.Event) -> None:
        """One session of the load: its tabs go in by different doors."""
        world = self.world
        try:
            session = await world.open(world.proxy(), chance.choice((world.all_webs(), world.some_web(chance))))
            await session.speak(chance, stop)
        except Exception as error:  # noqa: BLE001 - whatever keeps a user from being answered is a finding, not the end of the run
            self._found("live again", "a session of the load", error)

    async def _lane(self, planned: Sequence[Planned]) -> None:
        """One fault after the other, each at a moment of its own."""
        for one in planned:
            await asyncio.sleep(self.world.some_seconds(one.chance, 0, 0.8))
            upheavals, broken, seconds = self.world.upheavals, "", None
            at = time.monotonic()
            try:
                async with asyncio.timeout(FAULT_SECONDS):
                    outcome = await one.kind.fault(self.world, one.chance)
                what, seconds, broken = outcome.what, outcome.seconds, outcome.broken
                if broken:
                    self.violations.append(Violation(one.kind.name, "all", broken))
            except Exception as error:  # noqa: BLE001 - as above
                broken = what = f"{type(error).__name__}: {error}"[:300]
                self._found("live again", one.kind.name, error)
            alone = self.world.upheavals - upheavals <= OWN_UPHEAVALS
            self.done.append(Done(one.number, one.kind.name, seconds, alone, broken))
            alive = "" if seconds is None else f"; alive after {seconds:.1f} s{'' if alone else ' (overlapped)'}"
            self.say(f"{at - self.began:6.1f} s  #{one.number:03}  {one.kind.name}: {what}{alive}")

    def _found(self, promise: str, where: str, error: Exception) -> None:
        self.violations.append(Violation(promise, where, f"{type(error).__name__}: {error}"[:3000]))
        self._tell(f"{where}: {''.join(traceback.format_exception(error))[-3000:]}")

    async def _warm(self) -> Baseline:
        """Every process has worked before what it holds is measured."""
        world = self.world
        session = await world.open(world.proxy(), world.all_webs(), world.all_webs())
        for _ in range(2 * len(world.stack.workers)):
            for script in (counting(20, pace=0), booking(session.id, (ONCE, {}), (AGAIN, {}), count=5, pace=0)):
                run_id = await session.ask(script)
                await asyncio.gather(*(tab.until_ended(run_id, timeout=60) for tab in session.tabs))
        self.violations += await world.judge()
        before = await asyncio.to_thread(measure, world.stack)
        self._tell(f"warm. At rest: {before.short()}")
        return before

    async def _rest(self, before: Baseline) -> None:
        """What is held falls back to what it was, given a little time."""
        stack = self.world.stack
        processes = len(stack.processes)
        until = time.monotonic() + REST_SECONDS
        while True:
            after = await asyncio.to_thread(measure, stack)
            left = list(excess(before, after, processes=processes, connections=CONNECTIONS))
            if not left or time.monotonic() > until:
                break
            await asyncio.sleep(0.5)
        self._tell(f"at rest again: {after.short()}")
        self.violations += [Violation("back to the baseline", "all", what) for what in left]

    def _tell(self, text: str) -> None:
        self.say(f"{time.monotonic() - self.began:6.1f} s  {text}")
