"""A tab that keeps a log of everything that came and went, has a heartbeat, and does not rest until its message is accepted."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.chaos.evidence import Entry, TabLog
from tests.parts.socket_client import Door, Frame, LiveTab, Socket

HEARTBEAT_SECONDS = 2.0
# Without a frame for so long, a socket counts as dead: its server may hang.
SILENCE_SECONDS = 8.0
# A server that could not read its database leaves a `resume` without an answer: the page asks again, and so does this.
PATIENCE_SECONDS = 6.0
ANSWER_SECONDS = 8.0
# Tries to come back are further and further apart, and no two tabs come at once: as the page does it.
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 3.0
AGAIN = ("not_saved", "rate_limited")


class Refused(Exception):
    """The message was refused for good; carries the code."""


class Left(Exception):
    """The tab was closed meanwhile, on purpose."""


class LoggedTab(LiveTab):
    """A `LiveTab` for chaos; `name` says where it goes in by."""

    def __init__(self, doors: Sequence[Door], user: Any, session_id: str, *, name: str) -> None:
        self.name = name
        self.log: list[Entry] = []
        self.connections = 0
        self.heard_at = self.resumed_at = time.monotonic()
        self.answers: dict[str, Frame] = {}
        self.pongs: set[str] = set()
        super().__init__(doors, user, session_id, retry=FIRST_RETRY_SECONDS)
        self._beating = asyncio.create_task(self._beat())

    @property
    def is_held(self) -> bool:
        """It is offline or reads nothing, on purpose."""
        return not self._online.is_set() or (self.socket is not None and not self.socket.is_reading)

    def evidence(self) -> TabLog:
        return TabLog(name=self.name, entries=self.log, transcript=self.tab.transcript(), state=self.tab.state())

    async def ask(self, message: str, *, client_id: str, timeout: float = 120, **payload: Any) -> str:
        """Send a message, again for as long as nobody has decided about it; returns its run's id. Raises `Refused`."""
        command = {"payload": {"message": message, **payload}, "client_id": client_id}
        async with asyncio.timeout(timeout):
            while True:
                socket = await self._connected()
                with contextlib.suppress(ConnectionClosed):
                    await socket.send("chat", **command)
                answer = await self._answer(socket, client_id)
                if answer is not None and answer["type"] == "accepted":
                    return str(answer["run_id"])
                if answer is not None:
                    if answer["data"]["code"] not in AGAIN:
                        raise Refused(answer["data"]["code"])
                    del self.answers[client_id]
                    await asyncio.sleep(0.2)

    async def _answer(self, socket: Socket, client_id: str) -> Frame | None:
        """What was said to a message; None where this socket will not say it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS), self._changed:
                await self._changed.wait_for(partial(self._has_answer_or_lost, client_id, socket))
        return self.answers.get(client_id)

    async def until_current(self, *, timeout: float = 20) -> None:
        """Return when the log has nothing that this tab does not have: asked with a ping, again where no answer comes."""
        async with asyncio.timeout(timeout):
            while True:
                socket = await self._connected()
                mark = uuid.uuid4().hex
                with contextlib.suppress(ConnectionClosed):
                    await socket.send("ping", timestamp=mark)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SILENCE_SECONDS), self._changed:
                        await self._changed.wait_for(partial(self._has_pong_or_lost, mark, socket))
                if mark in self.pongs and self.tab.seq >= self.tab.head and not self.tab.resuming:
                    return
                await asyncio.sleep(0.02)

    def _has_pong_or_lost(self, mark: str, socket: Socket) -> bool:
        return mark in self.pongs or self._has_lost(socket)

    def _has_answer_or_lost(self, client_id: str, socket: Socket) -> bool:
        return client_id in self.answers or self._has_lost(socket)

    def _has_lost(self, socket: Socket) -> bool:
        if self._task.cancelled():
            raise Left
        if self._task.done():
            self._task.result()
            raise AssertionError(f"the tab was told not to come back: {self.close_codes}")
        return self.socket is not socket or not socket.is_open

    async def close(self) -> None:
        self._beating.cancel()
        await asyncio.wait({self._beating})
        await super().close()

    async def _beat(self) -> None:
        """As the page does: ask for a sign of life now and then, and leave a socket that gives none."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            socket = self.socket
            if socket is None or not socket.is_open:
                self.heard_at = time.monotonic()
            elif time.monotonic() - self.heard_at > SILENCE_SECONDS and socket.is_reading:
                await socket.vanish()
            else:
                with contextlib.suppress(ConnectionClosed):
                    await socket.send("ping", timestamp="beat")
                    if self.tab.resuming and time.monotonic() - self.resumed_at > PATIENCE_SECONDS:
                        await socket.send("resume", after=self.tab.seq)

    def _took(self, frame: Frame) -> None:
        self.heard_at = time.monotonic()
        data = frame["data"]
        match frame["type"]:
            case "connected":
                self.connections += 1
            case "resumed":
                self._retry = FIRST_RETRY_SECONDS
            case "accepted":
                self.answers[data["client_id"]] = frame
            case "error" if "client_id" in data:
                self.answers[data["client_id"]] = frame
            case "pong":
                self.pongs.add(str(data["timestamp"]))
        self.log.append(Entry(time.time(), self.connections, False, frame))
        super()._took(frame)

    def _lost(self) -> None:
        self._retry = min(2 * self._retry, LONGEST_RETRY_SECONDS) * random.uniform(0.7, 1.3)

    def _sent(self, command: Frame) -> None:
        if command["type"] == "resume":
            self.resumed_at = time.monotonic()
        self.log.append(Entry(time.time(), self.connections, True, command))
