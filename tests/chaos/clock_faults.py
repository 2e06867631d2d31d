"""Clocks that are a day off: of a worker, of a web server. The database's clock is the one that counts."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.outcome import Fault, Outcome
from tests.chaos.script import counting
from tests.chaos.world import World
from tests.parts.server import Process

SECONDS = 60.0


def library() -> str:
    """The library that lies about the time, empty where there is none: from its wheel, or the machine's own."""
    # Not imported: the wheel's own module needs packages that nothing else here does.
    spec = importlib.util.find_spec("libfaketime")
    for place in (spec and spec.submodule_search_locations) or ():
        if (path := Path(place, "vendor", "libfaketime", "src", "libfaketime.so.1")).exists():
            return str(path)
    for path in sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")):
        return str(path)
    return ""


@functools.cache
def available() -> bool:
    """Whether a process here can be given a wrong clock: tried, since a library of another kind of machine does nothing."""
    told = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env={**os.environ, **environment("-1d")},
        capture_output=True,
        text=True,
    )
    return bool(library()) and told.returncode == 0 and time.time() - float(told.stdout) > 3600


def environment(offset: str) -> dict[str, str]:
    """That of a process whose clock is off, but for the monotonic one, as it would be on a machine with a wrong clock."""
    return {"LD_PRELOAD": library(), "FAKETIME": offset, "DONT_FAKE_MONOTONIC": "1"}


def worker_clock(offset: str) -> Fault:
    """A worker is replaced by one whose clock is off; it drives runs like any other, for the rest of its life."""

    async def fault(world: World, chance: random.Random) -> Outcome:
        async with world.kills_free, world.stops_free:
            worker = await world.some(chance, world.stack.workers)
            code = await _replace(world, worker, offset)
        session = await world.open()
        for _ in range(3):
            run_id = await session.ask(counting(5, pace=0.02))
            await session.tabs[0].until_ended(run_id, timeout=SECONDS)
        await session.finish()
        return Outcome(f"worker {worker.pid} is {offset} off", broken=_said(code))

    return fault


def web_clock(offset: str) -> Fault:
    """A web server is replaced by one whose clock is off; sockets and messages go through it."""

    async def fault(world: World, chance: random.Random) -> Outcome:
        async with world.webs_free:
            web = await world.some(chance, world.stack.webs)
            code = await _replace(world, web, offset)
        session = await world.open(("off", [web]), world.proxy())
        run_id = await session.ask(counting(5, pace=0.02))
        await asyncio.gather(*(tab.until_ended(run_id, timeout=SECONDS) for tab in session.tabs))
        await session.finish()
        return Outcome(f"web server {web.port} is {offset} off", broken=_said(code))

    return fault


async def _replace(world: World, process: Process, offset: str) -> int:
    wrong = environment(offset)
    process.env |= wrong
    code = await world.replace(process)
    # Only this one: whatever restarts the process gives it the right time again.
    for name in wrong:
        process.env.pop(name)
    return code


def _said(code: int) -> str:
    return f"a process that was asked to end ended with {code}" if code else ""
