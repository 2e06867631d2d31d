"""A model server that costs next to nothing: OpenAI's chat completions on loopback, numbered tokens at a steady pace.

The last user message says what to answer: `bench:COUNT:RATE` is so many tokens, so many of them a second, or as fast as they
are taken where the rate is 0. The server of the tests can do more, and each token costs it ten times as much.
"""

from __future__ import annotations

import asyncio
import json
import re
import time

from tests.bench.tokens import LENGTH, token

AT_ONCE = 20
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: close\r\n\r\n"
)


def question(count: int, rate: float) -> str:
    """The message that brings an answer of so many tokens at so many a second."""
    return f"bench:{count}:{rate:g}"


class BenchModel:
    """Lives in an `Assistant`."""

    async def start(self) -> int:
        """Returns the port."""
        self._server = await asyncio.get_running_loop().create_server(_Stream, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port


def environment(port: int) -> dict[str, str]:
    """What makes a site use this server."""
    return {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "MODEL": "openai:bench", "OPENAI_API_KEY": "none"}


class _Stream(asyncio.Protocol):
    """One request and its answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._read = b""
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._number = self._count = 0
        self._rate = 0.0
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._stop()

    def pause_writing(self) -> None:
        self._paused = True
        self._stop()

    def resume_writing(self) -> None:
        self._paused = False
        self._say()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if found and length and len(body) >= int(length[1]):
            self._answer(json.loads(body))

    def _answer(self, request: dict[str, object]) -> None:
        messages = request["messages"]
        assert isinstance(messages, list)
        asked = re.findall(r"bench:(\d+):([\d.]+)", str(messages[-1]["content"]))
        self._count, self._rate = int(asked[-1][0]), float(asked[-1][1])
        # A token is of one length, and so is each event: it is encoded once, with a hole.
        self._before, self._after = _event({"content": "\0" * LENGTH}).split(b"\0" * LENGTH)
        self._transport.write(_HEAD + _event({"role": "assistant", "content": ""}))
        self._began = self._loop.time()
        self._say()

    def _say(self) -> None:
        """Say what is due by now, and come again for the next."""
        now = self._loop.time()
        due = min(self._count, int((now - self._began) * self._rate) + 1 if self._rate else self._number + AT_ONCE)
        stamp = time.monotonic()
        self._transport.write(
            b"".join(self._before + token(number, stamp).encode() + self._after for number in range(self._number, due))
        )
        self._number = due
        if due == self._count:
            usage = {"prompt_tokens": 10, "completion_tokens": due, "total_tokens": due + 10}
            last = [
                _event({}, finish_reason="stop"),
                _event(None, usage=usage),
                _chunk(b"data: [DONE]\n\n"),
                b"0\r\n\r\n",
            ]
            self._transport.write(b"".join(last))
            self._transport.close()
        elif not self._paused:
            pause = self._began + due / self._rate if self._rate else now
            self._timer = self._loop.call_at(pause, self._say)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _event(delta: dict[str, str] | None, finish_reason: str | None = None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}]
    event = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "bench",
        "choices": choices,
    }
    return _chunk(b"data: " + json.dumps({**event, **more}).replace("\\u0000", "\0").encode() + b"\n\n")


def _chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"
