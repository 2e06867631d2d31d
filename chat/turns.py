"""Taking turns: what comes from several sources is handled one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any


async def take_turns(sources: Sequence[Callable[[], Awaitable[Any]]], handle: Callable[[Any], Awaitable[None]]) -> None:
    """Handle what comes from each source, in its order, until handling it raises something, which is raised here.

    As Channels' `await_many_dispatch`, which makes a task and a wait for every message: for pieces of drafts that was the
    dearest thing a socket did.
    """
    turn = asyncio.Lock()

    async def keep_taking(source: Callable[[], Awaitable[Any]]) -> None:
        while True:
            message = await source()
            async with turn:
                await handle(message)

    taking = [asyncio.create_task(keep_taking(source)) for source in sources]
    try:
        done, _ = await asyncio.wait(taking, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in taking:
            task.cancel()
        await asyncio.gather(*taking, return_exceptions=True)
