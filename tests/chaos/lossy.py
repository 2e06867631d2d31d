"""A way to a door on which the kernel loses packets: TCP segments vanish in both directions and are sent again.

Linux lets any process attach a filter to its own socket, which sees each incoming segment before TCP does; one that drops by
chance is a lossy network, without root and for these connections alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
from typing import Any

SO_ATTACH_FILTER = 26
SIZE = 64 * 1024
# Of linux/filter.h: load the kernel's random number, compare, return how many bytes to keep.
_LOAD, _RANDOM, _JUMP_IF_AT_LEAST, _RETURN = 0x20, (-0x1000 + 56) & 0xFFFFFFFF, 0x35, 0x06
_INSTRUCTION = "HBBI"


def available() -> bool:
    """Whether this machine's kernel can lose packets on purpose."""
    if sys.platform != "linux":
        return False
    with socket.socket() as probe:
        try:
            lose(probe, 0.5)
        except OSError:
            return False
    return True


def lose(connection: socket.socket, rate: float) -> None:
    """From now on this share of the segments that come to the socket is lost. Raises `OSError` where that is not possible."""
    program = [
        (_LOAD, 0, 0, _RANDOM),
        (_JUMP_IF_AT_LEAST, 1, 0, int(rate * 2**32)),
        (_RETURN, 0, 0, 0),
        (_RETURN, 0, 0, 0xFFFFFFFF),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack(_INSTRUCTION, *line) for line in program))
    connection.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code)))


class LossyDoor:
    """A door (`origin`, `cookie`) that leads to another through a lossy connection."""

    def __init__(self, door: object, port: int, rate: float) -> None:
        self._door = door
        self._target = port
        self._rate = rate
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: set[asyncio.Task[Any]] = set()
        self.origin = ""

    async def start(self) -> None:
        far = await asyncio.start_server(self._far, "127.0.0.1", 0)
        inner = far.sockets[0].getsockname()[1]
        near = await asyncio.start_server(lambda r, w: self._pass(r, w, inner, lossy=True), "127.0.0.1", 0)
        self._servers = [far, near]
        self.origin = f"http://127.0.0.1:{near.sockets[0].getsockname()[1]}"

    def cookie(self, user: object) -> str:
        return self._door.cookie(user)  # type: ignore[attr-defined, no-any-return] # of a door, only its origin is promised

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _far(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lose(writer.get_extra_info("socket"), self._rate)
        await self._pass(reader, writer, self._target, lossy=False)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, *, lossy: bool
    ) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        handler = asyncio.current_task()
        assert handler
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)
        if lossy:
            lose(there.get_extra_info("socket"), self._rate)
        ways = {asyncio.create_task(_copy(reader, there)), asyncio.create_task(_copy(there_reader, writer))}
        self._tasks |= ways
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._tasks -= ways
            for one in (writer, there):
                one.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(SIZE):
            writer.write(chunk)
            await writer.drain()
