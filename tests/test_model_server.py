"""The scripted model server does what tests rely on."""

from __future__ import annotations

import asyncio

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.parts.model_script import (
    Attempts,
    Cut,
    Garbage,
    Gate,
    Hang,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Turn,
    Usage,
    stepped,
)
from tests.parts.model_server import ModelServer


class TestModelServer:
    async def test_streams_a_turn_as_it_is_scripted(self, model_server: ModelServer) -> None:
        name = model_server.script(
            [Reasoning("hm hm"), Text("a b"), ToolCall("calculator", {"expression": "6*7"}), Usage(3, 4, 1)]
        )
        chunks = await _chunks(model_server, f"script:{name}")
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        assert [delta.reasoning_content for delta in deltas if hasattr(delta, "reasoning_content")] == ["hm", " hm"]
        assert [delta.content for delta in deltas if delta.content] == ["a", " b"]
        calls = [delta.tool_calls[0].function for delta in deltas if delta.tool_calls]
        assert len(calls) == 4
        assert "".join(call.arguments or "" for call in calls if call) == '{"expression": "6*7"}'
        assert chunks[-1].usage
        assert chunks[-1].usage.completion_tokens == 4

    async def test_takes_the_next_turn_by_the_messages_of_the_request(self, model_server: ModelServer) -> None:
        name = model_server.script([Text("first")], [Text("second")])
        asked = {"role": "user", "content": f"script:{name}"}
        assert await _answer(model_server, [asked]) == "first"
        assert await _answer(model_server, [asked, {"role": "assistant", "content": "first"}]) == "second"
        assert await _answer(model_server, [{"role": "user", "content": "hello"}]) == "You said: hello"

    async def test_waits_at_a_gate_until_it_is_opened(self, model_server: ModelServer) -> None:
        name = model_server.script(stepped("gate", [Text("one two")]))
        asking = asyncio.create_task(_chunks(model_server, f"script:{name}"))
        await model_server.at("gate")
        assert model_server.requests(name)[0].chunks == 1
        model_server.open("gate")
        await model_server.at("gate", 2)
        assert model_server.requests(name)[0].chunks == 2
        model_server.open("gate")
        await asking

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ([Refusal(500)], openai.InternalServerError),
            ([Refusal(429, retry_after=1)], openai.RateLimitError),
            ([Text("half"), Cut()], openai.APIConnectionError),
            ([Text("half"), Garbage()], ValueError),
        ],
        ids=["500", "429", "cut", "garbage"],
    )
    async def test_fails_as_it_is_scripted_and_then_recovers(
        self, model_server: ModelServer, fault: Turn, error: type[Exception]
    ) -> None:
        name = model_server.script(Attempts([fault, [Text("fine")]]))
        with pytest.raises(error):
            await _chunks(model_server, f"script:{name}")
        assert await _answer(model_server, [{"role": "user", "content": f"script:{name}"}]) == "fine"

    @pytest.mark.parametrize("wait", [Hang(), Gate("never")], ids=["hang", "gate"])
    async def test_notes_that_the_client_left(self, model_server: ModelServer, wait: Hang | Gate) -> None:
        name = model_server.script([Text("a"), wait])
        asking = asyncio.create_task(_chunks(model_server, f"script:{name}"))
        await model_server.until(lambda requests: bool(requests) and requests[-1].chunks == 2)
        asking.cancel()
        requests = await model_server.until(lambda requests: requests[-1].end is not None)
        assert requests[-1].end == "disconnected"


async def _chunks(server: ModelServer, message: str) -> list[ChatCompletionChunk]:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": message}],
            stream=True,
            stream_options={"include_usage": True},
        )
        async with stream:
            return [chunk async for chunk in stream]


async def _answer(server: ModelServer, messages: list[dict[str, str]]) -> str | None:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        answer = await client.chat.completions.create(model="scripted", messages=messages)  # type: ignore[arg-type] # a TypedDict for each role
        return answer.choices[0].message.content
