"""Ollama, against a server that speaks its protocol: reasoning where the model has it, and none where it has not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from langchain_core.messages import AIMessageChunk

from agents.llm import chat_model
from agents.model_choice import ModelError
from tests.agents.conversation import blocks


class Ollama:
    """One model, which thinks or does not; `chats` are the requests for a chat as they came."""

    def __init__(self) -> None:
        self.port = 0
        self.thinks = True
        self.models = ["qwen3:8b", "older:1b"]
        self.chats: list[dict[str, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        status, answer = "200 OK", ""
        if head.startswith("GET /api/tags"):
            answer = json.dumps({"models": [{"model": name} for name in self.models]})
        else:
            request = json.loads(body)
            self.chats.append(request)
            if request.get("think") and not self.thinks:
                status, answer = "400 Bad Request", json.dumps({"error": '"older:1b" does not support thinking'})
            else:
                said = (
                    [{"thinking": "Let me ", "content": ""}, {"thinking": "see.", "content": ""}] if self.thinks else []
                )
                said += [{"content": "Hel"}, {"content": "lo."}]
                lines = [
                    {"model": request["model"], "message": {"role": "assistant", **part}, "done": False}
                    for part in said
                ]
                end = {"done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 4}
                lines.append({"model": request["model"], "message": {"role": "assistant", "content": ""}, **end})
                answer = "".join(json.dumps(line) + "\n" for line in lines)
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n{answer}".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def ollama() -> AsyncIterator[Ollama]:
    served = Ollama()
    server = await asyncio.start_server(served.handle, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    async with server:
        yield served


async def streamed(ollama: Ollama, name: str) -> tuple[list[AIMessageChunk], AIMessageChunk]:
    model = chat_model(f"ollama:{name}", ollama_base_url=ollama.url)
    chunks = [chunk async for chunk in model.astream("Hello")]
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined += chunk
    return chunks, joined


async def test_reasoning_text_and_usage_arrive(ollama: Ollama) -> None:
    chunks, joined = await streamed(ollama, "qwen3:8b")
    assert blocks(chunks, "reasoning") == ["Let me ", "see."]
    assert "".join(blocks(chunks, "text")) == "Hello."
    assert joined.usage_metadata
    assert (joined.usage_metadata["input_tokens"], joined.usage_metadata["output_tokens"]) == (5, 4)
    assert ollama.chats[0]["model"] == "qwen3:8b"


async def test_a_model_that_cannot_think_answers_without(ollama: Ollama) -> None:
    ollama.thinks = False
    chunks, joined = await streamed(ollama, "older:1b")
    assert joined.text == "Hello."
    assert blocks(chunks, "reasoning") == []
    assert [chat.get("think") for chat in ollama.chats] == [True, None]


async def test_auto_is_the_first_model_that_ollama_lists(ollama: Ollama) -> None:
    await streamed(ollama, "auto")
    assert ollama.chats[0]["model"] == "qwen3:8b"


async def test_no_model_and_no_ollama_say_what_to_do(ollama: Ollama) -> None:
    ollama.models = []
    with pytest.raises(ModelError, match="ollama pull"):
        await streamed(ollama, "auto")
    ollama.port = 9
    with pytest.raises(ModelError, match="Ollama does not answer"):
        await streamed(ollama, "auto")
