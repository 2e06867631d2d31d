"""The end of a web process, as its sockets see it: it takes no new ones, and those that it has go, each in its own time.

State of the process, not of an event loop: whoever asks is told the same.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

logger = logging.getLogger(__name__)


class Leaving(Protocol):
    """A socket that can be asked to go."""

    async def go_away(self) -> None:
        """Tell the client, finish the command that is being handled, and close."""


_sockets: set[Leaving] = set()
_under_way = False


def is_under_way() -> bool:
    """Whether the process takes nothing new."""
    return _under_way


def enter(socket: Leaving) -> None:
    """From now on this socket, which is accepted, is among those that are asked to go."""
    _sockets.add(socket)


def leave(socket: Leaving) -> None:
    """The socket has ended, in whatever way."""
    _sockets.discard(socket)


async def begin() -> None:
    """From now on nothing new is taken. Returns when every socket has closed, or has failed to; the caller bounds the time."""
    global _under_way  # noqa: PLW0603 - of the process
    _under_way = True
    for outcome in await asyncio.gather(*(socket.go_away() for socket in list(_sockets)), return_exceptions=True):
        if isinstance(outcome, Exception):
            logger.warning("A socket could not be closed in order: %r", outcome)


def forget() -> None:
    """Take sockets again. For tests, whose process goes on."""
    global _under_way  # noqa: PLW0603 - of the process
    _under_way = False
