"""A real HTTP server on loopback that speaks OpenAI's chat-completions protocol and says what a test has scripted.

A *script* is a list of turns, a *turn* a list of pieces. The last user message of a request names its script with
`script:NAME`; the number of assistant messages after it is the turn. So any number of runs can go on at once, and the
server needs no memory of them. A message without a script is answered with its own words.

    name = model_server.script(
        [Reasoning("I need to multiply."), ToolCall("calculator", {"expression": "6*7"})],
        [Text("It is "), Gate("before-42"), Text("42."), Usage(10, 5)],
    )
    …chat "script:{name} what is 6*7?"…
    model_server.wait_at("before-42"); model_server.open("before-42")

Source of the protocol: https://platform.openai.com/docs/api-reference/chat/create and what vLLM, llama.cpp and DeepSeek
add to it (`reasoning_content`, `reasoning`). One file, because one connection's way goes through all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tests.parts.model_script import (
    Attempts,
    Cut,
    Finish,
    Garbage,
    Gate,
    Hang,
    Pace,
    Pause,
    Piece,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
    Usage,
    stepped,
    words,
)

# A test that writes a script also runs it, and gets both from here.
__all__ = [
    "Attempts",
    "Cut",
    "Finish",
    "Garbage",
    "Gate",
    "Hang",
    "ModelServer",
    "Pace",
    "Pause",
    "Piece",
    "Reasoning",
    "Refusal",
    "Request",
    "Text",
    "ToolCall",
    "Turn",
    "Usage",
    "stepped",
]

# --- what the server notes --------------------------------------------------------------------------------------------


@dataclass
class Request:
    """One request as it came, and how it ended."""

    body: dict[str, Any]
    headers: dict[str, str]
    script: str
    turn: int
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    end: Literal["completed", "disconnected", "refused", "cut", "stopped"] | None = None
    chunks: int = 0

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.body["messages"]
        return messages

    @property
    def tools(self) -> list[str]:
        """The names of the tools that were offered."""
        return [tool["function"]["name"] for tool in self.body.get("tools", [])]


class _Disconnected(Exception):
    """The client closed the stream."""


class _Broken(Exception):
    """The script breaks the connection."""


def plain_text(content: Any) -> str:
    """A message's content as text, whether it is a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [] if isinstance(part, dict))


class ModelServer:
    """Starts in a thread of its own. All methods may be called from any thread; those that wait have an async twin."""

    def __init__(self) -> None:
        self.port = 0
        self._changed = threading.Condition()
        self._scripts: dict[str, list[Turn | Attempts]] = {}
        self._asked: dict[tuple[str, int], int] = {}
        self._requests: list[Request] = []
        self._tickets: dict[str, float] = {}
        self._arrived: dict[str, int] = {}
        self._names = itertools.count(1)
        self._generation = 0
        self._loop = asyncio.new_event_loop()
        self._opened = asyncio.Event()
        self._listening = threading.Event()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)

    # --- for the test ---

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """What makes a site use this server."""
        return {"OPENAI_BASE_URL": self.base_url, "MODEL": "openai:scripted", "OPENAI_API_KEY": "none"}

    def start(self) -> None:
        self._thread.start()
        assert self._listening.wait(10), "the model server did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the model server did not stop"

    def script(self, *turns: Turn | Attempts, name: str | None = None) -> str:
        """Take a script; returns its name, which is unique unless one is given. After its last turn it says "Done."."""
        name = name or f"s{next(self._names)}"
        with self._changed:
            self._scripts[name] = list(turns)
        return name

    def open(self, gate: str, times: float = 1) -> None:
        """Let so many through the gate, now or when they come; `math.inf` for all."""
        with self._changed:
            self._tickets[gate] = self._tickets.get(gate, 0) + times
        self._loop.call_soon_threadsafe(self._wake)

    def wait_at(self, gate: str, times: int = 1, *, timeout: float = 10) -> None:
        """Return when the gate has been reached `times` times in all; everything before it was sent by then."""
        self._wait(lambda: self._arrived.get(gate, 0) >= times, f"gate {gate!r} was not reached {times} times", timeout)

    async def at(self, gate: str, times: int = 1, *, timeout: float = 10) -> None:
        """`wait_at` for a coroutine."""
        await asyncio.to_thread(self.wait_at, gate, times, timeout=timeout)

    def requests(self, script: str | None = None) -> list[Request]:
        """All requests so far, or those of one script, in the order in which they came."""
        with self._changed:
            return [request for request in self._requests if script in (None, request.script)]

    def wait_for(self, condition: Callable[[list[Request]], bool], *, timeout: float = 10) -> list[Request]:
        """Return the requests once the condition holds of them."""
        self._wait(lambda: condition(self._requests), "the requests did not become what was waited for", timeout)
        return self.requests()

    async def until(self, condition: Callable[[list[Request]], bool], *, timeout: float = 10) -> list[Request]:
        """`wait_for` for a coroutine."""
        return await asyncio.to_thread(self.wait_for, condition, timeout=timeout)

    def forget(self) -> None:
        """Before the next test: no script, no note, and whoever still waits at a gate goes through."""
        with self._changed:
            self._generation += 1
            self._scripts, self._asked, self._requests, self._arrived, self._tickets = {}, {}, [], {}, {}
        self._loop.call_soon_threadsafe(self._wake)

    # --- the server ---

    def _wait(self, condition: Callable[[], bool], otherwise: str, timeout: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                seen = [(request.script, request.turn, request.chunks, request.end) for request in self._requests]
                raise TimeoutError(f"{otherwise} within {timeout} s; gates: {self._arrived}; requests: {seen}")

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        handlers: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            handlers.add(task)
            try:
                await self._answer(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                handlers.discard(task)
                writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stopping.wait()
        server.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        if method == "GET" and path == "/v1/models":
            models = {"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "tests"}]}
            return await _respond(writer, 200, models)
        if method != "POST" or path != "/v1/chat/completions":
            return await _respond(writer, 404, {"error": {"message": f"no such path: {path}"}})

        body = json.loads(content)
        name, turn, pieces = self._choose(body["messages"])
        request = Request(body, headers, name, turn)
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        try:
            request.end = await self._play(request, pieces, reader, writer)
        except _Disconnected:
            request.end = "disconnected"
        except ConnectionError:
            request.end = "disconnected"
        except _Broken:
            request.end = "cut"
            # At once and with a reset, as a proxy that dies does.
            writer.transport.abort()
        finally:
            request.end = request.end or "stopped"
            request.ended = time.monotonic()
            with self._changed:
                self._changed.notify_all()

    def _choose(self, messages: list[dict[str, Any]]) -> tuple[str, int, Turn]:
        last = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=-1)
        said = plain_text(messages[last].get("content")) if last >= 0 else ""
        turn = sum(message["role"] == "assistant" for message in messages[last + 1 :])
        named = re.search(r"script:([\w-]+)", said)
        with self._changed:
            if named is None:
                return "", turn, [Text(f"You said: {said}")]
            name = named[1]
            turns = self._scripts.get(name)
            if turns is None:
                return name, turn, [Refusal(400, f"no script {name!r}")]
            chosen: Turn | Attempts = turns[turn] if turn < len(turns) else [Text("Done.")]
            asked = self._asked[name, turn] = self._asked.get((name, turn), 0) + 1
        if isinstance(chosen, Attempts):
            chosen = chosen.turns[min(asked, len(chosen.turns)) - 1]
        return name, turn, chosen

    async def _play(
        self, request: Request, pieces: Turn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Literal["completed", "refused"]:
        # Every response closes its connection, so the client sends nothing more: what can still be read is its leaving.
        leaving = asyncio.ensure_future(reader.read(1))

        async def unless_left(waiting: Any) -> None:
            task = asyncio.ensure_future(waiting)
            try:
                await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    raise _Disconnected
                await task
            finally:
                task.cancel()

        try:
            if request.body.get("stream"):
                return await self._stream(request, pieces, writer, unless_left)
            return await self._whole(request, pieces, writer, unless_left)
        finally:
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await leaving

    async def _stream(
        self, request: Request, pieces: Turn, writer: asyncio.StreamWriter, unless_left: Callable[[Any], Any]
    ) -> Literal["completed", "refused"]:
        if isinstance(pieces[0] if pieces else None, Refusal):
            return await _refuse(writer, pieces[0])
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        identity = {"id": f"chatcmpl-{id(request):x}", "object": "chat.completion.chunk", "created": int(time.time())}
        identity["model"] = request.body.get("model", "scripted")

        async def send(content: bytes) -> None:
            writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            await unless_left(writer.drain())
            with self._changed:
                request.chunks += 1
                self._changed.notify_all()

        async def send_event(choices: list[dict[str, Any]], **more: Any) -> None:
            event = {**identity, "choices": choices, **more}
            await send(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n")

        async def send_delta(delta: dict[str, Any], finish: str | None = None) -> None:
            await send_event([{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}])

        await send_delta({"role": "assistant", "content": ""})
        finish, usage = "stop", Usage(len(json.dumps(request.messages)) // 4, 0)
        async for piece in self._chunks(request, pieces, unless_left):
            match piece:
                case Garbage(content):
                    await send(content)
                case Usage():
                    usage = piece
                case Finish(reason):
                    finish = reason
                case dict():
                    if "tool_calls" in piece:
                        finish = "tool_calls"
                    await send_delta(piece)
        await send_delta({}, finish)
        if (request.body.get("stream_options") or {}).get("include_usage"):
            await send_event([], usage=_usage(usage, request.chunks))
        await send(b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await unless_left(writer.drain())
        return "completed"

    async def _whole(
        self, request: Request, pieces: Turn, writer: asyncio.StreamWriter, unless_left: Callable[[Any], Any]
    ) -> Literal["completed", "refused"]:
        """The same turn for a client that does not stream."""
        if isinstance(pieces[0] if pieces else None, Refusal):
            return await _refuse(writer, pieces[0])
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        calls: dict[int, dict[str, Any]] = {}
        finish, usage = "stop", Usage(len(json.dumps(request.messages)) // 4, 0)
        async for piece in self._chunks(request, pieces, unless_left):
            match piece:
                case Garbage(content):
                    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + content)
                    await unless_left(writer.drain())
                    return "completed"
                case Usage():
                    usage = piece
                case Finish(reason):
                    finish = reason
                case {"tool_calls": [fragment]}:
                    call = calls.setdefault(fragment["index"], {"type": "function", "function": {"arguments": ""}})
                    call["id"] = fragment.get("id", call.get("id"))
                    call["function"]["name"] = fragment["function"].get("name", call["function"].get("name"))
                    call["function"]["arguments"] += fragment["function"]["arguments"]
                case dict():
                    for key, text in piece.items():
                        message[key] = message.get(key, "") + text
            request.chunks += 1
        if calls:
            message["tool_calls"], finish = list(calls.values()), "tool_calls"
        body = {
            "id": f"chatcmpl-{id(request):x}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": request.body.get("model", "scripted"),
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": _usage(usage, request.chunks),
        }
        await _respond(writer, 200, body)
        return "completed"

    async def _chunks(
        self, request: Request, pieces: Turn, unless_left: Callable[[Any], Any]
    ) -> AsyncIterator[dict[str, Any] | Garbage | Usage | Finish]:
        """The deltas of a turn, each at its time; what is not a delta is handed on as it is."""
        pace, calls = 0.0, 0
        for piece in pieces:
            match piece:
                case Gate(name):
                    await unless_left(self._pass(name))
                case Pace(seconds):
                    pace = seconds
                case Pause(seconds):
                    await unless_left(asyncio.sleep(seconds))
                case Cut():
                    raise _Broken
                case Hang():
                    await unless_left(asyncio.get_running_loop().create_future())
                case Refusal():
                    raise AssertionError("a Refusal must be the first piece of its turn")
                case Garbage() | Usage() | Finish():
                    yield piece
                case Text(text) | Reasoning(text):
                    key = "content" if isinstance(piece, Text) else piece.field
                    for part in words(text):
                        await unless_left(asyncio.sleep(pace))
                        yield {key: part}
                case ToolCall():
                    for fragment in _fragments(piece, calls, request):
                        await unless_left(asyncio.sleep(pace))
                        yield {"tool_calls": [fragment]}
                    calls += 1

    async def _pass(self, gate: str) -> None:
        with self._changed:
            generation = self._generation
            self._arrived[gate] = self._arrived.get(gate, 0) + 1
            self._changed.notify_all()
        while True:
            opened = self._opened
            with self._changed:
                if generation != self._generation:
                    return
                if self._tickets.get(gate, 0) >= 1:
                    self._tickets[gate] -= 1
                    return
            await opened.wait()

    def _wake(self) -> None:
        """Whoever waits at a gate looks again."""
        self._opened.set()
        self._opened = asyncio.Event()


def _fragments(call: ToolCall, index: int, request: Request) -> Iterator[dict[str, Any]]:
    """As OpenAI streams a call: id and name first, then the arguments in pieces, all under the call's index."""
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
    name = call.id or f"call_{request.script or 'default'}_{request.turn}_{index}"
    yield {"index": index, "id": name, "type": "function", "function": {"name": call.name, "arguments": ""}}
    size = max(1, -(-len(arguments) // call.fragments))
    for start in range(0, len(arguments), size):
        yield {"index": index, "function": {"arguments": arguments[start : start + size]}}


def _usage(usage: Usage, chunks: int) -> dict[str, Any]:
    output = usage.output or chunks
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": output,
        "total_tokens": usage.input + output,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


async def _refuse(writer: asyncio.StreamWriter, refusal: Any) -> Literal["refused"]:
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    body = {"error": {"message": refusal.message, "type": "scripted", "code": str(refusal.status)}}
    await _respond(writer, refusal.status, body, headers)
    return "refused"


async def _respond(
    writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    content = json.dumps(body).encode()
    lines = {
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + content)
    await writer.drain()


@pytest.fixture(scope="session")
def session_model_server() -> Iterator[ModelServer]:
    """The one server, so that sites which live through many tests can point at it."""
    server = ModelServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def model_server(session_model_server: ModelServer) -> Iterator[ModelServer]:
    """The model server, with no scripts and no notes from other tests."""
    session_model_server.forget()
    yield session_model_server
    session_model_server.forget()
