"""`python -m tests.chaos`: chaos for as long as it takes, a line for each fault, a table at the end, 1 if a promise broke."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.report import table
from tests.chaos.run import Run
from tests.chaos.schedule import kinds, left_out, schedule
from tests.chaos.world import World
from tests.parts.installation import prepare
from tests.parts.model_server import ModelServer
from tests.parts.stack import Stack

ENVIRONMENT = {
    "LEASE_SECONDS": "5",
    "GRACE_SECONDS": "5",
    # Small, so that a slow reader is slow within seconds.
    "UNACKNOWLEDGED_BYTES": "65536",
    "SLOW_SECONDS": "3",
    "HEARTBEAT_SECONDS": "5",
    "FRAMES_PER_SECOND": "50",
}


def say(text: str) -> None:
    print(text, flush=True)


async def chaos(options: argparse.Namespace, folder: Path) -> int:
    began = time.monotonic()
    model = ModelServer()
    model.start()
    stack = Stack(folder, ENVIRONMENT)
    world = World(stack, model, folder)
    try:
        stack.postgres.start()
        await asyncio.to_thread(prepare, stack.env)
        await world.start(webs=options.webs, workers=options.workers)
        found = [kind for kind in kinds(frozen_seconds=options.frozen) if options.only in kind.name]
        planned = schedule(options.seed, options.faults, found)
        for reason in left_out():
            say(f"Left out: {reason}")
        run = Run(world, options.seed, options.speakers, options.batch, say)
        await run.through(planned, until=began + options.minutes * 60)
    finally:
        await world.close()
        await asyncio.to_thread(stack.close)
        model.stop()
    say(f"\n{table(run.done)}\n")
    minutes = (time.monotonic() - began) / 60
    say(f"Seed {options.seed}: {len(run.done)} faults in {minutes:.1f} minutes, {len(run.violations)} violations")
    for violation in run.violations:
        say(f"  {violation}"[:500])
    return 1 if run.violations or len(run.done) < options.faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of the schedule (default: by chance)"
    )
    parser.add_argument("--faults", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=20, help="end after so many (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=20, help="faults between two verdicts (default: %(default)s)")
    parser.add_argument("--speakers", type=int, default=6, help="sessions that ask all the time (default: %(default)s)")
    parser.add_argument("--webs", type=int, default=2, help="web servers (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=3, help="workers (default: %(default)s)")
    parser.add_argument("--frozen", type=float, default=30, help="seconds that Redis is frozen (default: %(default)s)")
    parser.add_argument("--only", default="", help="kinds whose names have this in them (default: all)")
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder with data and logs also where nothing broke"
    )
    options = parser.parse_args()
    say(f"Seed {options.seed}: python -m tests.chaos --seed {options.seed} --faults {options.faults}")
    folder = Path(tempfile.mkdtemp(prefix="glassbox-chaos-"))
    code = 1
    try:
        code = asyncio.run(chaos(options, folder))
    finally:
        if options.keep or code:
            say(f"Data, logs and evidence: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
