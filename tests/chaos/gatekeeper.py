"""Gates between processes: a tool in a worker knocks and waits, chaos learns which process stands there and lets it through."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict


async def knock(port: int, gate: str) -> None:
    """Return when the gate is open. Raises `ConnectionError` where there is no gatekeeper (any more)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{gate} {os.getpid()}\n".encode())
        if not await reader.readline():
            raise ConnectionError("the gatekeeper has gone")
    finally:
        writer.close()


class Gatekeeper:
    """A gate that was opened stays open."""

    def __init__(self) -> None:
        self.port = 0
        self._open: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._arrived: dict[str, asyncio.Future[int]] = defaultdict(asyncio.get_running_loop().create_future)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def at(self, gate: str) -> int:
        """The id of the first process that stands, or stood, at the gate."""
        return await asyncio.shield(self._arrived[gate])

    def open(self, gate: str) -> None:
        self._open[gate].set()

    def close(self) -> None:
        if self._server:
            self._server.close()
        for gate in list(self._open.values()):
            gate.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            gate, pid = (await reader.readline()).decode().split()
            arrived = self._arrived[gate]
            if not arrived.done():
                arrived.set_result(int(pid))
            leaving = asyncio.ensure_future(reader.read(1))
            opening = asyncio.ensure_future(self._open[gate].wait())
            await asyncio.wait({leaving, opening}, return_when=asyncio.FIRST_COMPLETED)
            leaving.cancel()
            opening.cancel()
            writer.write(b"go\n")
        except (ConnectionError, ValueError):
            pass
        finally:
            writer.close()
