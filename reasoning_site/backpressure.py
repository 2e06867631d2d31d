"""A streamed answer waits for its reader: Daphne alone would take all of it into memory, however slowly it is read."""

from __future__ import annotations

import asyncio
from typing import Any


class Reader:
    """What the transport tells when it has more than it can send, and when it has sent it. Twisted calls this a producer."""

    def __init__(self) -> None:
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._may_go_on.clear()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self._may_go_on.set()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Called when the connection is lost: whoever waits is to find that out."""
        self._may_go_on.set()

    async def until_ready(self) -> None:
        await self._may_go_on.wait()


def reader_before(request: Any, message: dict[str, Any]) -> Reader | None:
    """The reader to wait for after this message is written, where there is more to come. Must be called before it is."""
    if message["type"] != "http.response.body" or request.channel is None:
        return None
    if message.get("more_body"):
        if request.producer is None:
            request.registerProducer(Reader(), True)
        reader: Reader = request.producer
        return reader
    if request.producer is not None:
        request.unregisterProducer()
    return None
