"""The round of a process: once a second it looks at every open socket, and asks where there is something to be asked.

One task for all of them: a timer for each costs more than all that idle sockets have to ask.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Protocol
from weakref import WeakKeyDictionary

logger = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
# The sockets are looked at in so many lots: what all of them have to ask at once is spread over the round.
LOTS = 10


class Kept(Protocol):
    """A socket that is looked after."""

    def to_ask(self, now: float) -> Coroutine[Any, Any, None] | None:
        """What is to be asked for it at this time of the event loop's, if anything. Not called while the last is under way."""


class Round:
    """See the module. There is one in an event loop."""

    def __init__(self) -> None:
        self._lots: list[dict[Kept, asyncio.Task[None] | None]] = [{} for _ in range(LOTS)]
        self._walking: asyncio.Task[None] | None = None

    def enter(self, socket: Kept) -> None:
        """From now on the socket is looked after."""
        min(self._lots, key=len)[socket] = None
        if self._walking is None:
            self._walking = asyncio.create_task(self._walk())

    def leave(self, socket: Kept) -> None:
        """The socket is not looked after any more, and what is being asked for it is given up."""
        for lot in self._lots:
            asking = lot.pop(socket, None)
            if asking is not None and asking is not asyncio.current_task():
                asking.cancel()
        if self._walking is not None and not any(self._lots):
            self._walking.cancel()
            self._walking = None

    async def _walk(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for lot in self._lots:
                await asyncio.sleep(ROUND_SECONDS / LOTS)
                now = loop.time()
                for socket, asking in lot.items():
                    if asking is not None:
                        if not asking.done():
                            continue
                        lot[socket] = None
                    if (work := socket.to_ask(now)) is not None:
                        begun = asyncio.create_task(work)
                        begun.add_done_callback(_say_what_failed)
                        lot[socket] = begun


def _say_what_failed(asking: asyncio.Task[None]) -> None:
    if not asking.cancelled() and (error := asking.exception()) is not None:
        # The socket is looked at again with the next round.
        logger.error("What a socket had to ask could not be asked", exc_info=error)


_rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, Round] = WeakKeyDictionary()


def current() -> Round:
    """The round of the running event loop."""
    return _rounds.setdefault(asyncio.get_running_loop(), Round())
