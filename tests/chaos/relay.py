"""A relay between the site and PostgreSQL that reads along: it can break a connection or hold a message at an exact moment.

What it reads is the SQL of simple queries, with their values in it, as Django sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from typing import Any

COMMIT = re.compile(rb"Q\x00\x00\x00.COMMIT\x00", re.DOTALL)
EVENTS = b'INSERT INTO "chat_event"'
SIZE = 256 * 1024


@dataclass
class Cut:
    """The next commit of events with all these words is broken off: `delivered` or not to the database, its answer never comes."""

    words: tuple[bytes, ...]
    delivered: bool
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


@dataclass
class Hold:
    """The next message with all these words waits until it is let go, or its sender has gone."""

    words: tuple[bytes, ...]
    reached: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    released: asyncio.Event = field(default_factory=asyncio.Event)


class Relay:
    """Listens on a port of its own for a database at another."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._cuts: list[Cut] = []
        self._holds: list[Hold] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=SIZE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Break every connection."""
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def cut(self, *words: bytes, delivered: bool) -> Cut:
        """Break the connection of the next commit that records events with all these words."""
        cut = Cut(words, delivered)
        self._cuts.append(cut)
        return cut

    def hold(self, *words: bytes) -> Hold:
        """Hold the next message that has all these words."""
        hold = Hold(words)
        self._holds.append(hold)
        return hold

    def forget(self, armed: Cut | Hold) -> None:
        """What has not come about is not waited for any more."""
        if isinstance(armed, Hold):
            armed.released.set()
        for waiting in (self._cuts, self._holds):
            with contextlib.suppress(ValueError):
                waiting.remove(armed)  # type: ignore[arg-type] # of two lists, it is in one

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target, limit=SIZE)
        except OSError:
            writer.close()
            return
        handler = asyncio.current_task()
        assert handler
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)
        answered = asyncio.Event()
        muted = asyncio.Event()
        ways = {
            asyncio.create_task(self._up(reader, there, muted, answered)),
            asyncio.create_task(_down(there_reader, writer, muted, answered)),
        }
        self._tasks |= ways
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._tasks -= ways
            for one in (writer, there):
                one.transport.abort()

    async def _up(
        self, reader: asyncio.StreamReader, there: asyncio.StreamWriter, muted: asyncio.Event, answered: asyncio.Event
    ) -> None:
        """From the site to the database; ends where the connection is to be broken."""
        recorded = b""
        while chunk := await reader.read(SIZE):
            if EVENTS in chunk:
                recorded += chunk
            if len(chunk) < 64 and COMMIT.search(chunk):
                for cut in [cut for cut in self._cuts if recorded and all(word in recorded for word in cut.words)][:1]:
                    self._cuts.remove(cut)
                    if cut.delivered:
                        muted.set()
                        there.write(chunk)
                        await answered.wait()
                    if not cut.done.done():
                        cut.done.set_result(None)
                    return
                recorded = b""
            for hold in [hold for hold in self._holds if all(word in chunk for word in hold.words)]:
                self._holds.remove(hold)
                if not hold.reached.done():
                    hold.reached.set_result(None)
                await _released_or_gone(hold, reader)
                if not hold.released.is_set():
                    return
            there.write(chunk)
            await there.drain()


async def _down(
    there: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event, answered: asyncio.Event
) -> None:
    """From the database to the site; once muted, only noted."""
    while chunk := await there.read(SIZE):
        if muted.is_set():
            answered.set()
            continue
        writer.write(chunk)
        await writer.drain()


async def _released_or_gone(hold: Hold, reader: asyncio.StreamReader) -> None:
    released = asyncio.ensure_future(hold.released.wait())
    try:
        while not released.done() and not reader.at_eof():
            await asyncio.wait({released}, timeout=0.02)
    finally:
        released.cancel()
