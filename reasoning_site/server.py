"""Daphne in this process, with our limits and an orderly end."""

from __future__ import annotations

import asyncio
import gc
import http.client
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from django.conf import settings

from chat import drain, remote
from chat.protocol import Close
from reasoning_site.backpressure import reader_before
from reasoning_site.probe import host_among

logger = logging.getLogger(__name__)

ENDING = (signal.SIGINT, signal.SIGTERM)


class SiteSocket(WebSocketProtocol):  # type: ignore[misc] # daphne has no types
    """A socket whose bound on size is for what comes in. The library would refuse to send a long answer by it, too."""

    maxMessagePayloadSize: int  # noqa: N815 - the library's name

    def serverClose(self, code: int | None = None) -> None:  # noqa: N802 - daphne's name
        """The library lets applications close with 1000 and 3000-4999 alone; a restart of the service is the server's to say."""
        if code == Close.RESTART:
            self.sendCloseFrame(code=code)
        else:
            super().serverClose(code)

    def serverSend(self, content: str | bytes, binary: bool = False) -> None:  # noqa: N802 - daphne's name
        bound, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().serverSend(content, binary)
        finally:
            self.maxMessagePayloadSize = bound


WebSocketFactory.protocol = SiteSocket


class SiteServer(Server):  # type: ignore[misc] # daphne has no types
    def __init__(self, application: Any, *, host: str, port: int, ready: Callable[[SiteServer], None]) -> None:
        """`ready` is called when the port is bound and the event loop is about to run."""
        super().__init__(
            application=application,
            endpoints=build_endpoint_description_strings(host=host, port=port),
            http_timeout=settings.HTTP_SECONDS,
            # A socket may stay for as long as its peer answers pings.
            websocket_timeout=-1,
            ping_interval=settings.PING_SECONDS,
            ping_timeout=settings.PING_TIMEOUT_SECONDS,
            websocket_max_message_size=settings.DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE,
            websocket_max_frame_size=settings.DAPHNE_WEBSOCKET_MAX_FRAME_SIZE,
            ready_callable=self._begin,
            server_name="",
            signal_handlers=False,
        )
        self._ready = ready
        self._draining: asyncio.Task[None] | None = None

    def _begin(self) -> None:
        """The first SIGTERM or SIGINT drains; the next one ends the process at once, whatever it is doing."""
        loop = asyncio.get_event_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self._told_to_end)
        self._ready(self)

    def _told_to_end(self) -> None:
        loop = asyncio.get_event_loop()
        for number in ENDING:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        self._draining = loop.create_task(self._drain())

    async def _drain(self) -> None:
        """Close the sockets, hand runs over, let requests be answered, then end; after `DRAIN_SECONDS` with whatever is left."""
        try:
            async with asyncio.timeout(settings.DRAIN_SECONDS):
                await drain.begin()
                await remote.hand_over()
                while left := self._applications():
                    await asyncio.wait(left)
        except TimeoutError:
            logger.warning("Ending with %d requests and sockets under way", len(self._applications()))
        finally:
            self.stop()

    def _applications(self) -> list[asyncio.Task[None]]:
        """What serves a request or a socket: it ends when the answer is sent, or the socket closed."""
        found = [details.get("application_instance") for details in self.connections.values()]
        return [application for application in found if application is not None and not application.done()]

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Daphne's way to the client; where more follows, it returns when the client has room for it."""
        reader = reader_before(protocol, message)
        await super().handle_reply(protocol, message)
        if reader is not None:
            await reader.until_ready()

    def kill_all_applications(self) -> Any:
        """Called when the server stops. Daphne alone would cut the sockets off without a word."""
        for protocol, details in list(self.connections.items()):
            if isinstance(protocol, WebSocketProtocol) and protocol.state == protocol.STATE_OPEN:
                protocol.serverClose(code=int(Close.RESTART))
            # Daphne fails here with a KeyError over a connection whose application has returned already.
            if "application_instance" not in details:
                del self.connections[protocol]
        return super().kill_all_applications()

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM, drain, then end every task that is left in the event loop."""
        # What is loaded by now stays, and is not looked through for garbage any more.
        gc.freeze()
        super().run()
        loop = asyncio.get_event_loop()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=settings.STOP_SECONDS))

    @property
    def port(self) -> int:
        """The port that is bound: the one asked for, or where that was 0, the one that was free."""
        port: int = self.listening_addresses[0][1]
        return port


def wait_until_it_answers(host: str, port: int) -> bool:
    """Ask `/healthz` until it answers, for `START_SECONDS` at most; say whether it did.

    As the first request of all, it also starts what the application runs beside requests.
    """
    until = time.monotonic() + settings.START_SECONDS
    while time.monotonic() < until:
        connection = http.client.HTTPConnection(host, port, timeout=settings.START_SECONDS)
        try:
            connection.request("GET", "/healthz", headers={"Host": public_host()})
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.05)
    return False


def public_host() -> str:
    """A host name that the site answers to."""
    return host_among(settings.ALLOWED_HOSTS)
