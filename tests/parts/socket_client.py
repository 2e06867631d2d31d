"""A client of the wire for tests: the socket alone (`Socket`), and a tab (`LiveTab`) that keeps what a page would show.

    async with open_tab(site, user, "s-1") as tab:
        await tab.until_ended(await tab.say("What is 6*7?"))
        assert [frame["seq"] for frame in tab.transcript()] == [event["seq"] for event in site.events("s-1")]

One file, because the tab is the socket's one user that lives through several of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.parts.tab import Frame, Tab

__all__ = ["Frame", "LiveTab", "Socket", "Tab", "open_socket", "open_tab"]

Condition = Callable[[Frame], bool]

ACK_FRAMES = 64
ACK_BYTES = 64 * 1024
ACK_SECONDS = 1
COME_BACK_BELOW = 4500


class Door(Protocol):
    """Where a socket goes and who goes there: a `Site` or one of its servers."""

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""

    def cookie(self, user: Any) -> str:
        """The `Cookie` header of a signed-in user."""


# --- the socket -------------------------------------------------------------------------------------------------------


class Socket:
    """One WebSocket. A background task reads, so that `frames` is always all that has come; `paused()` stops its
    reading.
    """

    def __init__(self, connection: ClientConnection, *, acknowledging: bool) -> None:
        self.connection = connection
        self.frames: list[Frame] = []
        self.on_frame: Callable[[Frame], None] = lambda frame: None
        self.on_send: Callable[[Frame], None] = lambda frame: None
        self._acknowledging = acknowledging
        self._acknowledged = 0
        self._bytes = 0
        self._seen = 0
        self._changed = asyncio.Condition()
        self._reading = asyncio.Event()
        self._reading.set()
        self._reader = asyncio.create_task(self._read())

    async def send(self, kind: str, **fields: Any) -> None:
        """One command, as `{"type": kind, **fields}`."""
        command = {"type": kind, **fields}
        self.on_send(command)
        await self.connection.send(json.dumps(command))

    async def send_raw(self, message: str | bytes) -> None:
        """Whatever a client of somebody else's might send."""
        await self.connection.send(message)

    async def chat(self, message: str, *, client_id: str | None = None, **payload: Any) -> str:
        """Send a message; returns the `client_id` that it went out with."""
        client_id = client_id or uuid.uuid4().hex
        await self.send("chat", payload={"message": message, **payload}, client_id=client_id)
        return client_id

    async def receive(self, *, timeout: float = 10) -> Frame:
        """The next frame that no `receive…` has returned yet. Raises `ConnectionClosed` when there will be none."""
        return await self.receive_until(lambda frame: True, timeout=timeout)

    async def receive_until(self, wanted: str | Condition, *, timeout: float = 10) -> Frame:
        """The next frame of this type, or for which the condition holds; those before it are skipped, and stay in
        `frames`.
        """
        matches: Condition = (lambda frame: frame["type"] == wanted) if isinstance(wanted, str) else wanted
        try:
            async with asyncio.timeout(timeout), self._changed:
                while True:
                    while self._seen < len(self.frames):
                        frame = self.frames[self._seen]
                        self._seen += 1
                        if matches(frame):
                            return frame
                    if self._reader.done():
                        # It ended with the socket's own end, which says why.
                        await self.connection.recv()
                    await self._changed.wait()
        except TimeoutError:
            types = [frame["type"] for frame in self.frames]
            raise TimeoutError(f"no frame that matches {wanted!r} within {timeout} s; there were {types}") from None

    async def silence(self, seconds: float) -> list[Frame]:
        """What comes within so many seconds, for tests that nothing does."""
        before = len(self.frames)
        await asyncio.sleep(seconds)
        return self.frames[before:]

    async def closed(self, *, timeout: float = 10) -> int:
        """The close code, once the socket has closed."""
        async with asyncio.timeout(timeout):
            await self.connection.wait_closed()
            await asyncio.wait({self._reader})
        return self.connection.close_code or 1006

    @property
    def is_open(self) -> bool:
        return not self._reader.done()

    @property
    def is_reading(self) -> bool:
        return self._reading.is_set()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Read nothing for a while: the buffers of client, kernel and server fill up."""
        self._reading.clear()
        try:
            yield
        finally:
            self._reading.set()

    async def close(self) -> None:
        """Leave politely."""
        self._reading.set()
        await self.connection.close()
        await asyncio.wait({self._reader})

    async def vanish(self) -> None:
        """Go as a cut network goes: no close frame."""
        self._reading.set()
        self.connection.transport.abort()
        await asyncio.wait({self._reader})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _read(self) -> None:
        try:
            while True:
                await self._reading.wait()
                try:
                    async with asyncio.timeout(ACK_SECONDS if self._owes else None):
                        text = await self.connection.recv()
                except TimeoutError:
                    await self._acknowledge()
                    continue
                frame: Frame = json.loads(text)
                self.frames.append(frame)
                self._bytes += len(text)
                self.on_frame(frame)
                async with self._changed:
                    self._changed.notify_all()
                if len(self.frames) - self._acknowledged >= ACK_FRAMES or self._bytes >= ACK_BYTES:
                    await self._acknowledge()
        except ConnectionClosed:
            pass
        finally:
            async with self._changed:
                self._changed.notify_all()

    @property
    def _owes(self) -> bool:
        return self._acknowledging and self._acknowledged < len(self.frames)

    async def _acknowledge(self) -> None:
        if self._owes:
            self._acknowledged, self._bytes = len(self.frames), 0
            await self.send("ack", frames=self._acknowledged)


async def open_socket(
    door: Door,
    user: Any,
    session_id: str,
    *,
    origin: str | None = None,
    acknowledging: bool = True,
    place: str = "ws/chat",
    **query: str,
) -> Socket:
    """A socket of this user's, or of nobody's where `user` is None; `acknowledging=False` is a client of the first
    table.

    Raises `websockets.exceptions.InvalidStatus` where the server refuses the handshake. `place` stands before the session in the
    URL, `query` goes behind it.
    """
    headers = {} if user is None else {"Cookie": door.cookie(user)}
    address = f"{door.origin.replace('http', 'ws', 1)}/{place}/{session_id}" + (f"?{urlencode(query)}" if query else "")
    connection = await connect(
        address,
        origin=origin if origin is not None else door.origin,  # type: ignore[arg-type]  # a NewType of the library's own
        additional_headers=headers,
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
        open_timeout=20,
        close_timeout=2,
    )
    return Socket(connection, acknowledging=acknowledging)


# --- the tab: connected -----------------------------------------------------------------------------------------------


class LiveTab:
    """A `Tab` on a socket that comes back, to the next door in turn, as long as the close code lets it."""

    def __init__(self, doors: Sequence[Door], user: Any, session_id: str, *, retry: float = 0.05) -> None:
        self.tab = Tab()
        self.socket: Socket | None = None
        self.session_id = session_id
        self.frames: list[Frame] = []
        self.close_codes: list[int] = []
        self._doors = list(doors)
        self._user = user
        self._retry = retry
        self._online = asyncio.Event()
        self._online.set()
        self._changed = asyncio.Condition()
        self._owed: asyncio.Queue[Frame] = asyncio.Queue()
        self._task = asyncio.create_task(self._live())

    def transcript(self) -> list[Frame]:
        return self.tab.transcript()

    async def say(self, message: str, *, client_id: str | None = None, **payload: Any) -> str:
        """Send a message, again after every reconnect until it is accepted; returns its run's id."""
        client_id = client_id or uuid.uuid4().hex
        command = {"payload": {"message": message, **payload}, "client_id": client_id}

        def answer() -> str | None:
            for frame in self.frames:
                if frame["data"].get("client_id") == client_id:
                    if frame["type"] == "error":
                        raise AssertionError(f"the message was refused: {frame}")
                    if "run_id" in frame:
                        return str(frame["run_id"])
            return None

        async with asyncio.timeout(20):
            while True:
                socket = await self._connected()
                with contextlib.suppress(ConnectionClosed):
                    await socket.send("chat", **command)
                await self._settled(socket, answer)
                if run_id := answer():
                    return run_id

    async def send(self, kind: str, **fields: Any) -> None:
        """One command on the present socket, waiting for one where there is none."""
        await (await self._connected()).send(kind, **fields)

    async def until(self, condition: Callable[[Tab], bool], *, timeout: float = 20) -> None:
        """Return when the tab is as the condition asks."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self._task.done() or condition(self.tab))
        except TimeoutError:
            types = [frame["type"] for frame in self.frames][-40:]
            raise TimeoutError(
                f"the tab did not become what was waited for within {timeout} s; closed with {self.close_codes[-10:]}; "
                f"last frames {types}; state {str(self.tab.state())[:2000]}"
            ) from None
        if self._task.done():
            self._task.result()
            assert condition(self.tab), f"the tab was told not to come back: {self.close_codes}"

    async def until_ended(self, run_id: str | None = None, *, timeout: float = 20) -> None:
        """Return when this run has ended, or where none is named, when there was one and none is active."""
        if run_id is None:
            await self.until(lambda tab: bool(tab.runs) and not tab.active, timeout=timeout)
        else:
            await self.until(lambda tab: run_id in tab.runs and run_id not in tab.active, timeout=timeout)

    async def until_current(self, *, timeout: float = 20) -> None:
        """Return when the log has nothing that this tab does not have: asked with a ping, on a new socket if the old one
        brings no answer any more.
        """
        mark = uuid.uuid4().hex

        def answer() -> str | None:
            return mark if any(f["type"] == "pong" and f["data"]["timestamp"] == mark for f in self.frames) else None

        async with asyncio.timeout(timeout):
            while not answer():
                socket = await self._connected()
                with contextlib.suppress(ConnectionClosed):
                    await socket.send("ping", timestamp=mark)
                await self._settled(socket, answer)
        await self.until(lambda tab: tab.seq >= tab.head and not tab.resuming, timeout=timeout)

    async def offline(self) -> None:
        """Lose the network until `online()`."""
        self._online.clear()
        if self.socket:
            await self.socket.vanish()

    def online(self) -> None:
        self._online.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        if self.socket:
            await self.socket.close()
        if not self._task.cancelled():
            self._task.result()

    async def __aenter__(self) -> Self:
        await self.until(lambda tab: tab.epoch is not None and not tab.resuming)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _connected(self) -> Socket:
        async with self._changed:
            await self._changed.wait_for(lambda: self._task.done() or (self.socket and self.socket.is_open))
        assert self.socket, f"the tab was told not to come back: {self.close_codes}"
        return self.socket

    async def _settled(self, socket: Socket, answer: Callable[[], str | None]) -> None:
        """Return when there is an answer, or when this socket will bring none."""
        async with self._changed:
            await self._changed.wait_for(lambda: answer() or self.socket is not socket or not socket.is_open)

    async def _live(self) -> None:
        turn = 0
        while True:
            await self._online.wait()
            door = self._doors[turn % len(self._doors)]
            turn += 1
            try:
                socket = await open_socket(door, self._user, self.session_id)
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError, EOFError):
                self._lost()
                await asyncio.sleep(self._retry)
                continue
            self._owed = asyncio.Queue()
            socket.on_frame, socket.on_send = self._took, self._sent
            self.socket = socket
            paying = asyncio.create_task(self._pay(socket, self._owed))
            try:
                await socket.connection.wait_closed()
                await asyncio.wait({socket._reader})
            finally:
                paying.cancel()
            self.close_codes.append(await socket.closed())
            async with self._changed:
                self._changed.notify_all()
            if COME_BACK_BELOW <= self.close_codes[-1] < 5000:
                return
            self._lost()
            await asyncio.sleep(self._retry)

    def _took(self, frame: Frame) -> None:
        self.frames.append(frame)
        for command in self.tab.apply(frame):
            self._owed.put_nowait(command)
        self._owed.put_nowait({})

    def _sent(self, command: Frame) -> None:
        """A command goes out, for those who keep a log."""

    def _lost(self) -> None:
        """The socket is gone or could not be opened, for those who wait longer each time."""

    async def _pay(self, socket: Socket, owed: asyncio.Queue[Frame]) -> None:
        """Send what the reducer asked for, and let those who wait look at the tab again."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                command = await owed.get()
                if command:
                    await socket.send(
                        command["type"], **{key: value for key, value in command.items() if key != "type"}
                    )
                else:
                    async with self._changed:
                        self._changed.notify_all()


def open_tab(doors: Door | Sequence[Door], user: Any, session_id: str) -> LiveTab:
    """A tab of this user's; `async with` waits until it has all there is. Several doors: it goes to the next when one
    closes.
    """
    return LiveTab(doors if isinstance(doors, Sequence) else [doors], user, session_id)
