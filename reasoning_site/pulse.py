"""A worker's pulse: a file that is written to again and again by its event loop, for health checks, which look at its time."""

from __future__ import annotations

import asyncio
from pathlib import Path

SECONDS = 2.0


async def beat(path: Path) -> None:
    """Keep the file's time near to now until cancelled. An event loop that hangs, or a process that is gone, lets it grow old."""
    while True:
        path.touch()  # noqa: ASYNC240 - by the event loop itself, whose pulse it is
        await asyncio.sleep(SECONDS)
