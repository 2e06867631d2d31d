"""Faults of the people's side: slow readers, lost networks, doubled messages, a stop that comes at the last moment."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import uuid

from websockets.exceptions import ConnectionClosed

from tests.chaos.outcome import Outcome
from tests.chaos.script import any_script, counting, gated
from tests.chaos.world import World

SECONDS = 90.0
# A long answer: more than may be on its way to a reader.
SLOW_TOKENS, SLOW_WIDTH = 1500, 200


async def slow_reader(world: World, chance: random.Random) -> Outcome:
    """A tab reads nothing for a while, in the middle of an answer that is longer than what may be on its way."""
    length = world.some_seconds(chance, 1, 6)
    session = await world.open(world.proxy(), world.proxy())
    slow, other = session.tabs
    run_id = await session.ask(counting(SLOW_TOKENS, pace=0.001, width=SLOW_WIDTH), tab=other)
    # Where another fault came between, it may have missed all of it.
    await slow.until(
        lambda tab: run_id in tab.runs and (bool(tab.runs[run_id].drafts) or run_id not in tab.active), timeout=SECONDS
    )
    if slow.socket is not None:
        async with slow.socket.paused():
            await asyncio.sleep(length)
    await asyncio.gather(*(tab.until_ended(run_id, timeout=SECONDS) for tab in session.tabs))
    await session.finish()
    return Outcome(f"for {length:.1f} s, closed with {slow.close_codes}")


async def offline(world: World, chance: random.Random) -> Outcome:
    """A tab loses its network again and again."""
    session = await world.open(world.proxy(), world.all_webs())
    run_id = await session.ask(counting(60, pace=0.03), tab=session.tabs[0])
    times = chance.randint(2, 5)
    for _ in range(times):
        await asyncio.sleep(chance.uniform(0.05, 0.5))
        await session.tabs[1].offline()
        await asyncio.sleep(chance.uniform(0, 0.3))
        session.tabs[1].online()
    await asyncio.gather(*(tab.until_ended(run_id, timeout=SECONDS) for tab in session.tabs))
    await session.finish()
    return Outcome(f"{times} times")


async def doubled_message(world: World, chance: random.Random) -> Outcome:
    """The same message on every web server and the proxy at once, several times over."""
    webs = [(f"web:{web.port}", [web]) for web in world.stack.webs]
    session = await world.open(world.proxy(), *webs)  # type: ignore[arg-type] # a list of one is a list of doors
    for _ in range(3):
        client_id, script = uuid.uuid4().hex, counting(3, pace=0)
        ids = await asyncio.gather(*(session.ask(script, tab=tab, client_id=client_id) for tab in session.tabs))
        if len(set(ids)) != 1:
            return Outcome("doubled", broken=f"one message became the runs {sorted(set(ids))}")
    await asyncio.gather(*(tab.until_ended(ids[0], timeout=SECONDS) for tab in session.tabs))
    await session.finish()
    return Outcome(f"on {len(session.tabs)} ways at once")


async def late_stop(world: World, chance: random.Random) -> Outcome:
    """Stop from another tab just as the run comes to its end: one ending, whichever was first."""
    session = await world.open()
    asking, stopping = session.tabs
    fates = []
    for _ in range(3):
        gate = f"gate-{uuid.uuid4().hex}"
        run_id = await session.ask(gated(gate, before=chance.randint(0, 5), after=1, pace=0), tab=asking)
        await world.model.at(gate, timeout=SECONDS)
        lead = chance.uniform(-0.03, 0.03)
        if lead < 0:
            world.model.open(gate, math.inf)
        await asyncio.sleep(abs(lead))
        with contextlib.suppress(ConnectionClosed):
            await stopping.send("interrupt", run_id=run_id)
        world.model.open(gate, math.inf)
        await asyncio.gather(*(tab.until_ended(run_id, timeout=SECONDS) for tab in session.tabs))
        fates.append(asking.tab.runs[run_id].state)
    await session.finish()
    return Outcome(", ".join(fates))


async def lost_packets(world: World, chance: random.Random) -> Outcome:
    """One packet in five is lost between a tab and the proxy, either way."""
    assert world.lossy_door
    session = await world.open(("lossy", [world.lossy_door]), world.proxy())
    for tab in session.tabs:
        run_id = await session.ask(any_script(session.id, chance), tab=tab)
        await asyncio.gather(*(tab.until_ended(run_id, timeout=SECONDS) for tab in session.tabs))
    await session.finish()
    return Outcome("20 % in both directions")
