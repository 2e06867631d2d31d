"""The clients of a load, in a process of their own: tabs that behave as the page does, and clients of the bare consumer."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.model import question
from tests.bench.tokens import Answer, Reading, judge
from tests.bench.wire import Wire

OPEN_AT_ONCE = 16
# As static/chat/socket.js does it.
ACK_FRAMES = 64
ACK_SECONDS = 1.0
HEARTBEAT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a socket goes, and as whom."""

    url: str
    origin: str = ""
    cookie: str = ""


class Clients:
    """Lives in an `Assistant`. What is opened stays open until it is closed by its name."""

    def __init__(self) -> None:
        self._open: dict[str, list[Tab]] = {}

    async def open(self, *, name: str, addresses: Sequence[Address], bare: bool = False) -> None:
        """Open a socket to each address, and return when all are live."""
        tabs = self._open[name] = [BareTab(address) if bare else Tab(address) for address in addresses]
        gate = asyncio.Semaphore(OPEN_AT_ONCE)

        async def open_one(tab: Tab) -> None:
            async with gate:
                await tab.open()

        await asyncio.gather(*(open_one(tab) for tab in tabs))

    async def ask(self, *, name: str, count: int, rate: float, spread: float = 0.0) -> list[Reading]:
        """Ask in each tab, over so many seconds, and read the answers to their end."""
        tabs = self._open[name]

        async def ask_one(number: int, tab: Tab) -> Answer:
            await asyncio.sleep(spread * number / len(tabs))
            return await tab.ask(count, rate)

        answers = await asyncio.gather(*(ask_one(number, tab) for number, tab in enumerate(tabs)))
        return [judge(answer) for answer in answers]

    async def close(self, *, name: str) -> list[int]:
        """Close them; returns the codes of those that the server had closed before."""
        tabs = self._open.pop(name)
        codes = [tab.wire.closed.result() for tab in tabs if tab.wire.closed.done()]
        for tab in tabs:
            tab.close()
        await asyncio.gather(*(tab.wire.closed for tab in tabs))
        return codes


class Tab:
    """A page's socket, as far as the server can tell: it resumes, acknowledges, and sends heartbeats."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._live: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._answer = Answer(0)
        self._attempt = 1
        self._frames = self._acknowledged = 0
        self._ack: asyncio.TimerHandle | None = None
        self._beat = self._loop.call_later(random.uniform(0, HEARTBEAT_SECONDS), self._send_heartbeat)
        self.wire = Wire(self._on_text)

    async def open(self) -> None:
        await self.wire.open(self._address.url, cookie=self._address.cookie, origin=self._address.origin)
        await self._unless_closed(self._live)

    async def ask(self, count: int, rate: float) -> Answer:
        self._answer = Answer(count)
        self._ended = self._loop.create_future()
        self._attempt = 1
        self.wire.send(json.dumps({"type": "chat", "payload": {"message": question(count, rate)}}))
        await self._unless_closed(self._ended)
        return self._answer

    def close(self) -> None:
        self._beat.cancel()
        if self._ack is not None:
            self._ack.cancel()
        self.wire.close()

    async def _unless_closed(self, wanted: asyncio.Future[None]) -> None:
        either: list[asyncio.Future[Any]] = [wanted, self.wire.closed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not wanted.done():
            raise ConnectionError(f"the server closed the socket with {self.wire.closed.result()}")
        wanted.result()

    def _on_text(self, text: str, now: float) -> None:
        frame = json.loads(text)
        self._frames += 1
        self._apply(frame, frame["data"], now)
        if self._frames - self._acknowledged >= ACK_FRAMES:
            self._acknowledge()
        elif self._ack is None:
            self._ack = self._loop.call_later(ACK_SECONDS, self._acknowledge)

    def _apply(self, frame: dict[str, Any], data: dict[str, Any], now: float) -> None:
        match frame["type"]:
            case "connected":
                self.wire.send(json.dumps({"type": "resume", "after": data["head"], "epoch": data["epoch"]}))
            case "resumed":
                self._live.set_result(None)
            case "reasoning_delta":
                if data["attempt"] != self._attempt:
                    # What an earlier attempt had said is void, and is said anew.
                    self._attempt = data["attempt"]
                    self._answer.pieces.clear()
                self._answer.pieces.append((now, data["offset"], data["content"]))
            case "reasoning_step" if data["type"] == "final_answer":
                self._answer.recorded = (now, data["content"])
            case "reasoning_complete":
                if data["state"] != "completed":
                    self._ended.set_exception(AssertionError(f"the run ended otherwise: {text_of(frame)}"))
                else:
                    self._ended.set_result(None)
            case "error" if not self._ended.done():
                self._ended.set_exception(AssertionError(f"refused: {text_of(frame)}"))

    def _acknowledge(self) -> None:
        if self._ack is not None:
            self._ack.cancel()
            self._ack = None
        if not self.wire.closed.done():
            self._acknowledged = self._frames
            self.wire.send(json.dumps({"type": "ack", "frames": self._frames}))

    def _send_heartbeat(self) -> None:
        if self._live.done() and not self.wire.closed.done():
            self.wire.send(json.dumps({"type": "ping", "timestamp": 0}))
        self._beat = self._loop.call_later(HEARTBEAT_SECONDS, self._send_heartbeat)


class BareTab(Tab):
    """A client of the bare consumer, which speaks when it is asked and needs nothing else."""

    async def open(self) -> None:
        self._beat.cancel()
        await self.wire.open(self._address.url)

    def _on_text(self, text: str, now: float) -> None:
        frame = json.loads(text)
        if frame["type"] == "token":
            self._answer.pieces.append((now, frame["data"]["offset"], frame["data"]["content"]))
        else:
            self._answer.pieces += map(tuple, frame["data"]["untold"])
            self._ended.set_result(None)


def text_of(frame: dict[str, Any]) -> str:
    return json.dumps(frame)[:500]
