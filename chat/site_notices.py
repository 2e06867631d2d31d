"""What operators say to all users, as this process knows it: read every few seconds, and at once when somebody has said something.

One board for all sockets of an event loop: where nothing is said, a socket costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final, Protocol
from weakref import WeakKeyDictionary

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from chat import group, protocol
from chat.database import query
from chat.models import SiteNotice

logger = logging.getLogger(__name__)

# A page is told no more than this: what was said before is out of date, or forgotten.
SHOWN: Final = 5
LISTEN_AGAIN_SECONDS = 2.0

Notice = dict[str, str]


def shown() -> QuerySet[SiteNotice]:
    """The notices that hold now, the latest first."""
    return SiteNotice.objects.filter(Q(shown_until=None) | Q(shown_until__gt=Now()), withdrawn_at=None)


def listed() -> list[Notice]:
    """The latest of them, as pages are told."""
    return [{"id": str(notice.pk), "level": notice.level, "text": notice.text} for notice in shown()[:SHOWN]]


def announce() -> None:
    """Have every process look, once the transaction that changed a notice is committed."""
    transaction.on_commit(lambda: async_to_sync(group.tell)(group.EVERYONE, {"type": "look"}))


class Told(Protocol):
    """A socket."""

    async def tell(self, frame: str) -> None:
        """Send a frame."""


class Board:
    """See the module. It reads for as long as there are sockets."""

    def __init__(self) -> None:
        self._notices: list[Notice] | None = None
        self._sockets: set[Told] = set()
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def notices(self) -> list[Notice]:
        """What is said now. Asks the database where no other socket is open; then raises Django's errors."""
        if self._notices is None:
            self._notices = await query(listed)
        return self._notices

    async def enter(self, socket: Told, *, told: list[Notice]) -> None:
        """From now on the socket, which was told these notices, is told of every change."""
        self._sockets.add(socket)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._keep_reading()), asyncio.create_task(self._listen())]
        if self._notices is not None and self._notices != told:
            await socket.tell(protocol.site_notices(self._notices))

    def leave(self, socket: Told) -> None:
        """The socket is gone, or never came."""
        self._sockets.discard(socket)
        if not self._sockets:
            for task in self._tasks:
                task.cancel()
            self._tasks = []
            self._notices = None

    async def _keep_reading(self) -> None:
        while True:
            self._look.clear()
            try:
                await self._read()
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The notices could not be read: %s", type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.NOTICE_SECONDS):
                    await self._look.wait()

    async def _read(self) -> None:
        notices = await query(listed)
        if notices == self._notices:
            return
        self._notices = notices
        for socket in list(self._sockets):
            await socket.tell(protocol.site_notices(notices))

    async def _listen(self) -> None:
        layer = get_channel_layer()
        channel = ""
        try:
            while True:
                try:
                    channel = channel or await layer.new_channel("notices")
                    if await group.join(group.EVERYONE, channel):
                        # What was said before it was listened for.
                        self._look.set()
                        while True:
                            await layer.receive(channel)
                            self._look.set()
                except Exception as error:  # noqa: BLE001 - the layer's errors have no base; the database is read all the same
                    logger.warning("The notices could not be listened for: %s", type(error).__name__)
                await asyncio.sleep(LISTEN_AGAIN_SECONDS)
        finally:
            if channel:
                await group.leave(group.EVERYONE, channel)


_boards: WeakKeyDictionary[asyncio.AbstractEventLoop, Board] = WeakKeyDictionary()


def current() -> Board:
    """The board of the running event loop."""
    return _boards.setdefault(asyncio.get_running_loop(), Board())
