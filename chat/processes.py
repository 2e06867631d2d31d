"""The processes of the site, and the sockets that each has open: told to the database for as long as they live.

Everything goes by the database's clock. A process that is not heard of for `DEAD_AFTER` intervals counts as dead, and takes
its sockets with it; should it only have hung, it tells all of them anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Final, Literal
from weakref import WeakKeyDictionary

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import DateTimeField, ExpressionWrapper, QuerySet
from django.db.models.expressions import Combinable
from django.db.models.functions import Now

from chat import log_context
from chat.database import hold, write
from chat.models import OpenSocket, Process

logger = logging.getLogger(__name__)

Kind = Literal["web", "worker"]

# What this process is called, in `Process` and as the `worker` of its runs.
NAME: Final = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
DEAD_AFTER: Final = 5


# --- in the database --------------------------------------------------------------------------------------------------


class Unannounced(Exception):
    """The process has no row: it has not announced itself yet, or was given up for dead."""


def _oldest_alive() -> Combinable:
    silence = timedelta(seconds=DEAD_AFTER * settings.PROCESS_SECONDS)
    return ExpressionWrapper(Now() - silence, output_field=DateTimeField())


def living() -> QuerySet[Process]:
    """The processes that live."""
    return Process.objects.filter(seen_at__gte=_oldest_alive())


@transaction.atomic
def announce(name: str, kind: Kind, *, opened: Mapping[uuid.UUID, int], closed: Collection[uuid.UUID]) -> None:
    """Say that a process lives and that the `closed` sockets are gone, and remove the dead.

    Where it is not known, `opened` (sockets and their users) is all that it has.
    """
    if closed:
        OpenSocket.objects.filter(pk__in=closed).delete()
    if not Process.objects.filter(pk=name).update(seen_at=Now()):
        Process.objects.create(name=name, kind=kind, seen_at=Now())
        users = set(get_user_model().objects.filter(pk__in=set(opened.values())).values_list("pk", flat=True))
        OpenSocket.objects.bulk_create(
            OpenSocket(pk=pk, process_id=name, user_id=user, opened_at=Now())
            for pk, user in opened.items()
            if user in users and pk not in closed
        )
    # Locked, and so looked at once more: one that has just been heard of again is not removed.
    dead = Process.objects.filter(seen_at__lt=_oldest_alive()).select_for_update(skip_locked=True)
    Process.objects.filter(pk__in=list(dead.values_list("pk", flat=True))).delete()


def leave(name: str) -> None:
    """An orderly end: neither the process nor its sockets are there any more."""
    Process.objects.filter(pk=name).delete()


# --- in the process ---------------------------------------------------------------------------------------------------


class Presence:
    """Keeps a process and its open sockets told to the database. There is one in a process, in one event loop."""

    def __init__(self, kind: Kind, name: str = NAME) -> None:
        self.kind: Kind = kind
        self.name = name
        self._opened: dict[uuid.UUID, int] = {}
        self._closed: set[uuid.UUID] = set()
        self._some_closed = asyncio.Event()
        self._announcing = asyncio.Lock()
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to announce. Called once, in the event loop that the process lives in."""
        log_context.name_process(self.name)
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """An orderly end: the process takes itself out of the database, if that answers."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def open_socket(self, user_id: int, record: Callable[[uuid.UUID, str], None]) -> uuid.UUID:
        """Count a socket of a user's as open. `record` gets its id and this process's name, and writes its row.

        Raises what that raises. The socket is counted until `close_socket`.
        """
        socket_id = uuid.uuid4()
        recording = asyncio.ensure_future(self._record(socket_id, record))
        try:
            await asyncio.shield(recording)
        except BaseException:
            # Cut off or without an answer, it may still be written; what was not is removed in vain.
            recording.add_done_callback(lambda done: self._give_up(socket_id, done))
            raise
        self._opened[socket_id] = user_id
        return socket_id

    def close_socket(self, socket_id: uuid.UUID) -> None:
        """The socket is gone. Its row follows at once, or as soon as the database answers."""
        self._opened.pop(socket_id, None)
        self._closed.add(socket_id)
        self._some_closed.set()

    async def _record(self, socket_id: uuid.UUID, record: Callable[[uuid.UUID, str], None]) -> None:
        try:
            await write(record, socket_id, self.name)
        except Unannounced:
            await self._announce()
            await write(record, socket_id, self.name)

    def _give_up(self, socket_id: uuid.UUID, recording: asyncio.Task[None]) -> None:
        if not recording.cancelled():
            recording.exception()  # whoever waited for it has it, or is gone
        self.close_socket(socket_id)

    async def _keep(self) -> None:
        try:
            while True:
                try:
                    await self._announce()
                except (DatabaseError, InterfaceError) as error:
                    logger.warning("This process could not announce itself: %s", type(error).__name__)
                    await asyncio.sleep(settings.PROCESS_SECONDS)
                    continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(settings.PROCESS_SECONDS):
                        await self._some_closed.wait()
        finally:
            with contextlib.suppress(DatabaseError, InterfaceError):
                await hold(leave, self.name)

    async def _announce(self) -> None:
        async with self._announcing:
            self._some_closed.clear()
            closed = frozenset(self._closed)
            await hold(announce, self.name, self.kind, opened=dict(self._opened), closed=closed)
            self._closed -= closed


_presences: WeakKeyDictionary[asyncio.AbstractEventLoop, Presence] = WeakKeyDictionary()


def current(kind: Kind = "web") -> Presence:
    """The presence of the running event loop's process, started on first use."""
    loop = asyncio.get_running_loop()
    if loop not in _presences:
        _presences[loop] = Presence(kind)
        _presences[loop].start()
    return _presences[loop]


def forget() -> None:
    """Let the next call of `current` make a new one, after this loop's was closed."""
    _presences.pop(asyncio.get_running_loop(), None)
