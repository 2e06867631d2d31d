"""A WebSocket client for loads: it reads frames and does nothing else, so that the clients do not starve what they measure."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from urllib.parse import urlsplit

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


class Refused(Exception):
    """The server did not open the socket."""


class Wire(asyncio.Protocol):
    """One socket. `on_text` gets each text with the moment at which it was read; `closed` comes true with the close code."""

    def __init__(self, on_text: Callable[[str, float], None]) -> None:
        self.on_text = on_text
        self._buffer = b""
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def open(self, address: str, *, cookie: str = "", origin: str = "") -> None:
        """Connect to a `ws://` address. Raises `Refused`."""
        parts = urlsplit(address)
        await asyncio.get_running_loop().create_connection(lambda: self, parts.hostname or "", parts.port or 80)
        lines = [
            f"GET {parts.path or '/'} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version: 13",
            *([f"Cookie: {cookie}"] if cookie else []),
            *([f"Origin: {origin}"] if origin else []),
        ]
        self._transport.write("\r\n".join([*lines, "", ""]).encode())
        await self._opened

    def send(self, text: str) -> None:
        self._send(_TEXT, text.encode())

    def close(self) -> None:
        """Without waiting for the other side."""
        self._send(_CLOSE, struct.pack("!H", 1000))
        self._transport.close()

    # --- the protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_exception(Refused("the connection closed"))
        if not self.closed.done():
            self.closed.set_result(1006)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        buffer = self._buffer + data if self._buffer else data
        if not self._opened.done():
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            if b" 101 " not in head.split(b"\r\n")[0]:
                self._opened.set_exception(Refused(head.decode(errors="replace")))
                return
            self._opened.set_result(None)
        self._buffer = self._frames(buffer, now)

    def _frames(self, buffer: bytes, now: float) -> bytes:
        """Handle the whole frames in the buffer, and return the rest. Daphne sends no fragments."""
        at = 0
        while len(buffer) >= at + 2:
            length, start = buffer[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if len(buffer) < start + length:
                break
            self._frame(buffer[at] & 0xF, buffer[start : start + length], now)
            at = start + length
        return buffer[at:]

    def _frame(self, kind: int, content: bytes, now: float) -> None:
        if kind == _TEXT:
            self.on_text(content.decode(), now)
        elif kind == _PING:
            self._send(_PONG, content)
        elif kind == _CLOSE and not self.closed.done():
            self.closed.set_result(int.from_bytes(content[:2], "big") or 1005)

    def _send(self, kind: int, content: bytes) -> None:
        # The mask is for proxies that take a frame for a request; with zeros the content stays as it is.
        length = len(content)
        size = struct.pack("!B", 0x80 | length) if length < 126 else struct.pack("!BH", 0x80 | 126, length)
        self._transport.write(bytes([0x80 | kind]) + size + b"\0\0\0\0" + content)
