"""Faults of workers, each at an exact moment of a run: killed, or stopped for longer than its lease and continued; and what looks
like one to the run, an operator who takes it from a worker that lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from tests.chaos.ledger_agent import AGAIN, ONCE
from tests.chaos.outcome import Fault, Outcome
from tests.chaos.relay import EVENTS
from tests.chaos.script import booking, gated
from tests.chaos.session import Session
from tests.chaos.world import Gone, World
from tests.parts.server import Worker

REACH_SECONDS = 60.0
GOES_ON_SECONDS = 60.0


@dataclass(frozen=True)
class Victim:
    """A run that stands at its moment, and the worker that drives it; `let_go` opens the way, for whoever goes it."""

    session: Session
    run_id: str
    worker: Worker
    let_go: Callable[[], None]


Moment = Callable[[World, random.Random], Awaitable[Victim]]


async def before_the_first_token(world: World, chance: random.Random) -> Victim:
    return await _at_model_gate(world, before=0, after=20)


async def in_mid_token(world: World, chance: random.Random) -> Victim:
    return await _at_model_gate(world, before=chance.randint(3, 30), after=30)


async def in_a_tool(world: World, chance: random.Random) -> Victim:
    return await _at_tool_gate(world, chance, "before")


async def between_effect_and_record(world: World, chance: random.Random) -> Victim:
    return await _at_tool_gate(world, chance, "after")


async def before_the_ending(world: World, chance: random.Random) -> Victim:
    """The answer is recorded; the transaction that records the end is held on its way to the database."""
    victim = await _at_model_gate(world, before=0, after=5)
    # As the driver writes it: without dashes.
    held = world.relay.hold(EVENTS, uuid.UUID(victim.run_id).hex.encode(), b"run_end")
    victim.let_go()
    ended = asyncio.create_task(_ends(victim))
    try:
        async with asyncio.timeout(REACH_SECONDS):
            await asyncio.wait({held.reached, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        if not held.reached.done():
            world.relay.forget(held)
    if not held.reached.done():
        raise Gone("the run went on elsewhere")
    return replace(victim, let_go=lambda: world.relay.forget(held))


async def _at_model_gate(world: World, *, before: int, after: int) -> Victim:
    gate = f"gate-{uuid.uuid4().hex}"
    session = await world.open()
    with contextlib.ExitStack() as otherwise:
        let_go = partial(world.model.open, gate, math.inf)
        otherwise.callback(let_go)
        run_id = await session.ask(gated(gate, before=before, after=after))
        await world.model.at(gate, timeout=REACH_SECONDS)
        worker = await world.worker_of(run_id)
        otherwise.pop_all()
    return Victim(session, run_id, worker, let_go)


async def _at_tool_gate(world: World, chance: random.Random, where: str) -> Victim:
    gate = f"gate-{uuid.uuid4().hex}"
    session = await world.open()
    tool = chance.choice((ONCE, AGAIN))
    with contextlib.ExitStack() as otherwise:
        let_go = partial(world.gates.open, gate)
        otherwise.callback(let_go)
        run_id = await session.ask(booking(session.id, (tool, {where: gate}), (AGAIN, {}), count=5, pace=0))
        arrived = asyncio.create_task(world.gates.at(gate))
        # Another fault may have taken its worker on the way there, and with it the only call of the tool.
        ended = asyncio.create_task(session.tabs[0].until_ended(run_id, timeout=REACH_SECONDS))
        try:
            async with asyncio.timeout(REACH_SECONDS):
                await asyncio.wait({arrived, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not arrived.done():
                ended.result()
                raise Gone("the run ended before")
            worker = world.worker_by_pid(arrived.result())
        finally:
            arrived.cancel()
            ended.cancel()
        otherwise.pop_all()
    return Victim(session, run_id, worker, let_go)


MOMENTS: dict[str, Moment] = {
    "before the first token": before_the_first_token,
    "in mid-token": in_mid_token,
    "in a tool": in_a_tool,
    "between effect and record": between_effect_and_record,
    "before the ending": before_the_ending,
}


def killed(moment: Moment) -> Fault:
    """`kill -9`: the run goes on, or ends, without it."""

    async def fault(world: World, chance: random.Random) -> Outcome:
        async with world.kills_free, _victim(world, chance, moment) as victim:
            began = time.monotonic()
            async with world.felt():
                victim.worker.kill()
                victim.let_go()
                world.restart_later(victim.worker, chance.uniform(0, 1))
                seconds = await _goes_on(victim, began)
        return Outcome(await _fate(victim), seconds)

    return fault


def stopped(moment: Moment) -> Fault:
    """SIGSTOP until somebody else has the run, then SIGCONT: it must notice that it has lost it, and write nothing."""

    async def fault(world: World, chance: random.Random) -> Outcome:
        async with world.stops_free, _victim(world, chance, moment) as victim:
            began = time.monotonic()
            async with world.felt():
                victim.worker.pause()
                try:
                    victim.let_go()
                    seconds = await _goes_on(victim, began)
                    # Before the other one has ended it, or after.
                    await asyncio.sleep(chance.choice((0.0, 1.0)) / world.haste)
                finally:
                    victim.worker.resume()
        return Outcome(await _fate(victim), seconds)

    return fault


def taken_over(moment: Moment) -> Fault:
    """By an operator, in the admin: the worker lives, and must write nothing more."""

    async def fault(world: World, chance: random.Random) -> Outcome:
        async with world.takes_free, _victim(world, chance, moment) as victim:
            began = time.monotonic()
            async with world.felt():
                await world.take_over(victim.run_id)
                (run,) = await world.query("SELECT attempt FROM chat_run WHERE id = %s", victim.run_id)
                assert run["attempt"] > 1, "it was not taken from its worker"
                victim.let_go()
                seconds = await _goes_on(victim, began)
        return Outcome(await _fate(victim), seconds)

    return fault


@contextlib.asynccontextmanager
async def _victim(world: World, chance: random.Random, moment: Moment) -> AsyncIterator[Victim]:
    """A run at its moment. Where another fault took its worker meanwhile, it is tried anew."""
    while True:
        with contextlib.suppress(Gone):
            victim = await moment(world, chance)
            break
    try:
        yield victim
    finally:
        victim.let_go()


async def _goes_on(victim: Victim, began: float) -> float:
    """The seconds until the run has a new attempt or its end, in a tab's eyes."""
    tab = victim.session.tabs[0]
    attempt = max(1, tab.tab.runs[victim.run_id].attempt if victim.run_id in tab.tab.runs else 0)
    await tab.until(
        lambda tab: (
            victim.run_id in tab.runs and (tab.runs[victim.run_id].attempt > attempt or victim.run_id not in tab.active)
        ),
        timeout=GOES_ON_SECONDS,
    )
    return time.monotonic() - began


async def _ends(victim: Victim) -> None:
    """Returns when every tab knows that it has ended."""
    await asyncio.gather(*(tab.until_ended(victim.run_id, timeout=GOES_ON_SECONDS) for tab in victim.session.tabs))


async def _fate(victim: Victim) -> str:
    await _ends(victim)
    await victim.session.finish()
    run = victim.session.tabs[0].tab.runs[victim.run_id]
    return f"run {victim.run_id[:8]} {run.state} in attempt {run.attempt}"
