"""Faults that everybody feels: of web servers, of Redis, of PostgreSQL, and a rolling restart of everything."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import redis

from tests.chaos.outcome import Fault, Outcome
from tests.chaos.script import counting
from tests.chaos.world import World
from tests.parts.server import Process

KILL_PUBSUB_SECONDS = 0.2
# What a run records, one transaction after the other.
RECORDED = (b"message", b"run_start", b"final_answer", b"run_end")
CUT_SECONDS = 30.0


# --- web servers ------------------------------------------------------------------------------------------------------


async def web_killed(world: World, chance: random.Random) -> Outcome:
    """`kill -9`; its tabs go elsewhere or come back."""
    async with world.webs_free, world.felt():
        web = await world.some(chance, world.stack.webs)
        web.kill()
        world.restart_later(web, chance.uniform(0, 1))
        seconds = await world.until_alive()
    return Outcome(f"web server {web.port}", seconds)


async def web_stopped(world: World, chance: random.Random) -> Outcome:
    """SIGSTOP and SIGCONT: its sockets stay and say nothing."""
    length = world.some_seconds(chance, 0.5, 6)
    async with world.webs_free, world.felt():
        web = await world.some(chance, world.stack.webs)
        web.pause()
        try:
            await asyncio.sleep(length)
        finally:
            web.resume()
        seconds = await world.until_alive()
    return Outcome(f"web server {web.port} for {length:.1f} s", seconds)


# --- Redis ------------------------------------------------------------------------------------------------------------


async def redis_killed(world: World, chance: random.Random) -> Outcome:
    length = world.some_seconds(chance, 0, 4)
    async with world.redis_free, world.felt():
        await asyncio.to_thread(world.stack.redis.stop)
        await asyncio.sleep(length)
        await asyncio.to_thread(world.stack.redis.start)
        seconds = await world.until_alive()
    return Outcome(f"Redis, away for {length:.1f} s", seconds)


async def redis_emptied(world: World, chance: random.Random) -> Outcome:
    async with world.redis_free, world.felt():
        await asyncio.to_thread(world.stack.redis.flush)
        seconds = await world.until_alive()
    return Outcome("Redis", seconds)


def redis_frozen(length: float) -> Fault:
    """It keeps its connections and answers nothing."""

    async def fault(world: World, chance: random.Random) -> Outcome:
        async with world.redis_free, world.felt():
            world.stack.redis.pause()
            try:
                # Meanwhile as well: a hung Redis must not hang the site.
                meanwhile = await world.until_alive()
                await asyncio.sleep(max(0.0, length - meanwhile))
            finally:
                world.stack.redis.resume()
            seconds = await world.until_alive()
        return Outcome(f"Redis for {length:g} s, answered within {meanwhile:.1f} s meanwhile", seconds)

    return fault


async def pubsub_killed(world: World, chance: random.Random) -> Outcome:
    """Every 0.2 s all subscriptions break."""
    length, kills = world.some_seconds(chance, 2, 4), 0
    async with world.redis_free, world.felt():
        with redis.Redis.from_url(world.stack.redis.url, socket_timeout=5) as client:
            until = time.monotonic() + length
            while time.monotonic() < until:
                kills += await asyncio.to_thread(client.client_kill_filter, _type="pubsub")
                await asyncio.sleep(KILL_PUBSUB_SECONDS)
        seconds = await world.until_alive()
    return Outcome(f"{kills} subscribers in {length:.1f} s", seconds)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


async def postgres_killed(world: World, chance: random.Random) -> Outcome:
    length = world.some_seconds(chance, 0, 2)
    async with world.postgres_free, world.felt():
        await asyncio.to_thread(world.stack.postgres.stop)
        await asyncio.sleep(length)
        await asyncio.to_thread(world.stack.postgres.start)
        seconds = await world.until_alive()
    return Outcome(f"PostgreSQL, away for {length:.1f} s", seconds)


async def postgres_restarted(world: World, chance: random.Random) -> Outcome:
    """A fast shutdown, as an operator does it."""
    async with world.postgres_free, world.felt():
        await asyncio.to_thread(world.stack.postgres.term)
        await asyncio.to_thread(world.stack.postgres.start)
        seconds = await world.until_alive()
    return Outcome("PostgreSQL", seconds)


async def postgres_frozen(world: World, chance: random.Random) -> Outcome:
    """It keeps its connections and answers nothing: shorter or longer than a lease."""
    length = world.some_seconds(chance, 1, 7)
    async with world.postgres_free, world.felt():
        await asyncio.to_thread(world.stack.postgres.pause)
        try:
            await asyncio.sleep(length)
        finally:
            await asyncio.to_thread(world.stack.postgres.resume)
        seconds = await world.until_alive()
    return Outcome(f"PostgreSQL for {length:.1f} s", seconds)


def commit_cut(*, delivered: bool) -> Fault:
    """The connection breaks with a COMMIT under way: it took place or not, and its sender cannot know. It writes again, once; only
    a worker that cannot know that it has taken a run loses it.
    """

    async def fault(world: World, chance: random.Random) -> Outcome:
        upheavals = world.upheavals
        async with world.postgres_free:
            kinds = chance.sample(RECORDED, k=chance.randint(1, len(RECORDED)))
            cuts = [world.relay.cut(kind, delivered=delivered) for kind in kinds]
            session = await world.open()
            run_id = await session.ask(counting(3, pace=0))
            try:
                async with asyncio.timeout(CUT_SECONDS):
                    await asyncio.gather(*(asyncio.shield(cut.done) for cut in cuts))
            finally:
                for cut in cuts:
                    world.relay.forget(cut)
            began = time.monotonic()
            await session.tabs[0].until_ended(run_id, timeout=60)
            seconds = time.monotonic() - began
        (run,) = await world.query("SELECT losses FROM chat_run WHERE id = %s", run_id)
        is_lost = run["losses"] and b"run_start" not in kinds and world.upheavals == upheavals
        await session.finish()
        broken = "a run lost its worker, which was there" if is_lost else ""
        return Outcome(f"of {', '.join(kind.decode() for kind in kinds)}", seconds, broken)

    return fault


# --- everything -------------------------------------------------------------------------------------------------------

BROKEN = """
SELECT id, attempt, losses, error_code FROM chat_run WHERE state = 'failed' AND ended_at > %s
"""


async def rolling_restart(world: World, chance: random.Random) -> Outcome:
    """Each web server and each worker is asked to end and started again, one after the other. No answer breaks."""
    # What another fault does to a run, or holds in the middle of a tool, is not this one's doing.
    others = (
        world.kills_free,
        world.stops_free,
        world.takes_free,
        world.webs_free,
        world.redis_free,
        world.postgres_free,
    )
    async with contextlib.AsyncExitStack() as stack:
        for other in (*others, world.felt()):
            await stack.enter_async_context(other)
        await world.until_complete()
        # What earlier faults broke has come to its end by now.
        await world.until_alive()
        (since,) = await world.query("SELECT now() AS now")
        processes: list[Process] = [*world.stack.webs, *world.stack.workers]
        chance.shuffle(processes)
        codes = [await world.replace(process) for process in processes]
        seconds = await world.until_alive()
        broken = await world.query(BROKEN, since["now"])
    said = [f"exit codes {codes}"] if any(codes) else []
    said += [f"{len(broken)} answers broke: {broken}"] if broken else []
    return Outcome(f"{len(processes)} processes", seconds, broken=", ".join(said))
