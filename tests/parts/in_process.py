"""The site inside the test's own process: the real ASGI application, real logins, a driver that ends with the test.

For tests that hold a run at an exact place: with a `ScriptedModel` as `settings.MODEL` the test decides when each token
comes. Tests of processes, Redis and browsers use the real site instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from chat import drain, driver, processes
from chat import frames as frames_of_events
from chat.database import query
from chat.models import ChatSession, Event
from tests.parts.socket_client import Frame, Tab


class InProcessTab:
    """A `Tab` on a socket of the real ASGI application. `resuming=False` is a client of the first table; `place` is what stands
    before the session in its address.
    """

    def __init__(
        self,
        application: Any,
        cookie: str,
        session_id: str,
        *,
        resuming: bool = True,
        query: str = "",
        place: str = "ws/chat",
    ) -> None:
        self.tab = Tab()
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self.session_id = session_id
        self._resuming = resuming
        headers = [(b"host", b"127.0.0.1"), (b"origin", b"http://127.0.0.1"), (b"cookie", cookie.encode())]
        path = f"/{place}/{session_id}" + (f"?{query}" if query else "")
        self._socket = WebsocketCommunicator(application, path, headers=headers)
        self._changed = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> InProcessTab:
        connected, _ = await self._socket.connect(timeout=5)
        assert connected
        self._reader = asyncio.create_task(self._read())
        return self

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait({self._reader})
        if self.close_code is None:
            await self._socket.disconnect()

    async def send(self, kind: str, **fields: Any) -> None:
        await self._socket.send_json_to({"type": kind, **fields})

    async def send_raw(self, text: str | None = None, *, binary: bytes | None = None) -> None:
        content = {"text": text} if binary is None else {"bytes": binary}
        await self._socket.send_input({"type": "websocket.receive", **content})

    async def say(self, message: str, *, client_id: str | None = None, **payload: Any) -> str:
        """Send a message; returns its run's id once it is accepted."""
        client_id = client_id or uuid.uuid4().hex
        seen = len(self.frames)
        await self.send("chat", payload={"message": message, **payload}, client_id=client_id)
        frame = await self.until_frame(
            lambda frame: frame["type"] in ("accepted", "error") and frame["data"].get("client_id") == client_id, seen
        )
        assert frame["type"] == "accepted", frame
        return str(frame["run_id"])

    async def until_frame(self, wanted: str | Callable[[Frame], bool], after: int = 0, *, timeout: float = 10) -> Frame:
        """The first frame, of those from index `after` on, that is of the type or fits the condition."""
        matches = (lambda frame: frame["type"] == wanted) if isinstance(wanted, str) else wanted
        found: list[Frame] = []

        def look() -> bool:
            found[:] = [frame for frame in self.frames[after:] if matches(frame)]
            return bool(found)

        await self._wait(look, f"no frame {wanted!r}", timeout)
        return found[0]

    async def until(self, condition: Callable[[Tab], bool], *, timeout: float = 10) -> None:
        """Return when the tab is as the condition asks; one that names a run that the tab does not know yet is not met."""

        def holds() -> bool:
            try:
                return condition(self.tab)
            except KeyError:
                return False

        await self._wait(holds, "the tab did not become what was waited for", timeout)

    async def until_ended(self, run_id: str | None = None, *, timeout: float = 10) -> None:
        if run_id is None:
            await self.until(lambda tab: bool(tab.runs) and not tab.active, timeout=timeout)
        else:
            await self.until(lambda tab: run_id in tab.runs and run_id not in tab.active, timeout=timeout)

    async def until_current(self) -> None:
        """Return when the log has nothing that this tab does not have: asked with a ping."""
        mark = uuid.uuid4().hex
        await self.send("ping", timestamp=mark)
        await self.until_frame(lambda frame: frame["type"] == "pong" and frame["data"]["timestamp"] == mark)
        await self.until(lambda tab: tab.seq >= tab.head and not tab.resuming)

    async def until_closed(self, *, timeout: float = 10) -> int:
        await self._wait(lambda: self.close_code is not None, "the socket stayed open", timeout)
        assert self.close_code is not None
        return self.close_code

    async def _wait(self, condition: Callable[[], bool], otherwise: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            types = [(frame["type"], frame.get("seq")) for frame in self.frames][-30:]
            raise TimeoutError(f"{otherwise} within {timeout} s; closed {self.close_code}; {types}") from None

    async def _read(self) -> None:
        while True:
            message = await self._socket.output_queue.get()
            async with self._changed:
                if message["type"] == "websocket.close":
                    self.close_code = message.get("code", 1000)
                    self._changed.notify_all()
                    return
                frame = json.loads(message["text"])
                self.frames.append(frame)
                if self._resuming:
                    for command in self.tab.apply(frame):
                        await self.send(command.pop("type"), **command)
                self._changed.notify_all()


class InProcessSite:
    """Opens tabs, signs users in, and reads the database as the last word."""

    def __init__(self) -> None:
        from reasoning_site.asgi import application

        self.application = application
        self._tabs: list[InProcessTab] = []
        self._cookies: dict[int, str] = {}

    async def user(self, name: str = "ada", **fields: Any) -> User:
        return await query(lambda: User.objects.create_user(name, password="pw-for-tests", **fields))

    async def cookie(self, user: User) -> str:
        if user.pk not in self._cookies:

            def sign_in() -> str:
                client = Client()
                client.force_login(user)
                return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"

            self._cookies[user.pk] = await query(sign_in)
        return self._cookies[user.pk]

    async def tab(self, user: User | None, session_id: str = "s-1", **options: Any) -> InProcessTab:
        cookie = "" if user is None else await self.cookie(user)
        tab = InProcessTab(self.application, cookie, session_id, **options)
        self._tabs.append(tab)
        return await tab.open()

    async def transcript(self, session_id: str) -> list[Frame]:
        """The recorded frames of a session, made from the database."""

        def read() -> list[Frame]:
            session = ChatSession.objects.get(public_id=session_id)
            rows = Event.objects.filter(session=session).select_related("run").order_by("seq")
            frames = [json.loads(text) for row in rows for text in frames_of_events.of(row)]
            return [frame for frame in frames if "seq" in frame]

        return await query(read)

    async def restart_driver(self) -> None:
        """End the driver as a killed process would end, and begin with a new one."""
        await driver.current().close()
        driver.forget()

    async def close(self) -> None:
        for tab in self._tabs:
            with contextlib.suppress(Exception):
                await tab.close()
        drain.forget()
        await driver.current().close()
        driver.forget()
        await processes.current().close()
        processes.forget()
