"""A way from the browser to the site that can be cut: bytes pass both ways, or none, or only towards the site."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from tests.parts.site_process import Site


class Network:
    """`async with Network(site) as network`: go to `network.origin` in place of the site's."""

    def __init__(self, site: Site) -> None:
        self._target = int(site.origin.rpartition(":")[2])
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: bytes | None = None
        self._hearing = True
        self.sockets = 0
        self.origin = ""

    def cut(self, *, sockets_only: bool = False) -> None:
        """Every connection breaks and no new one is made, until `mend()`; pages still come with `sockets_only`."""
        self._refused = b"GET /ws/" if sockets_only else b""
        for writer in list(self._writers):
            writer.transport.abort()

    def deafen(self) -> None:
        """What the browser says arrives; what the site says is lost, until `mend()`."""
        self._hearing = False

    def mend(self) -> None:
        """All is well again for whoever connects anew."""
        self._refused = None
        self._hearing = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self._writers.add(writer)
        far = None
        try:
            first = await reader.read(65536)
            if self._refused is not None and first.startswith(self._refused):
                return
            self.sockets += first.startswith(b"GET /ws/")
            away, far = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(far)
            far.write(first)
            ways = {asyncio.create_task(_copy(reader, far)), asyncio.create_task(self._bring(away, writer))}
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except ConnectionError:
            pass
        finally:
            for end in (writer, far):
                if end is not None:
                    self._writers.discard(end)
                    end.close()
            self._tasks.discard(task)

    async def _bring(self, away: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while content := await away.read(65536):
                if self._hearing:
                    writer.write(content)
                    await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while content := await reader.read(65536):
            writer.write(content)
            await writer.drain()
