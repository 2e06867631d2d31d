"""OpenAI-compatible servers, against a real one on loopback: reasoning, tool calls in fragments, usage."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from openai.types.chat import ChatCompletionChunk

from agents.llm import chat_model
from agents.model_choice import ModelError
from agents.openai_compatible import OpenAICompatibleChat
from agents.registry import build
from tests.agents.conversation import answers, blocks, converse
from tests.agents.web_server import serving, whole
from tests.parts.model_server import Garbage, ModelServer, Reasoning, Refusal, Text, ToolCall, Usage

Field = Literal["reasoning_content", "reasoning"]


@pytest.fixture
def model(model_server: ModelServer) -> BaseChatModel:
    return chat_model("openai:scripted", openai_base_url=model_server.base_url)


async def streamed(model: BaseChatModel, name: str) -> tuple[list[AIMessageChunk], AIMessageChunk]:
    chunks = [chunk async for chunk in model.astream(f"script:{name}")]
    joined = chunks[0]
    for chunk in chunks[1:]:
        joined += chunk
    return chunks, joined


def sent_usage(output: int) -> Garbage:
    usage = {"prompt_tokens": 10, "completion_tokens": output, "total_tokens": 10 + output}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage}
    return Garbage(f"data: {json.dumps(chunk)}\n\n".encode())


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_and_text_arrive_as_blocks_piece_by_piece(
    model_server: ModelServer, model: BaseChatModel, field: Field
) -> None:
    name = model_server.script(
        [Reasoning(["Let ", "me ", "think."], field), Text(["Here ", "it ", "is."]), Usage(11, 7, reasoning=3)]
    )
    chunks, joined = await streamed(model, name)
    assert [piece for piece in blocks(chunks, "reasoning") if piece] == ["Let ", "me ", "think."]
    assert [piece for piece in blocks(chunks, "text") if piece] == ["Here ", "it ", "is."]
    assert blocks([joined], "reasoning") == ["Let me think."]
    assert joined.text == "Here it is."
    assert joined.usage_metadata
    assert joined.usage_metadata["input_tokens"] == 11
    assert joined.usage_metadata["output_tokens"] == 7
    assert joined.usage_metadata["output_token_details"]["reasoning"] == 3


async def test_parallel_tool_calls_are_put_together_from_their_fragments(
    model_server: ModelServer, model: BaseChatModel
) -> None:
    name = model_server.script(
        [
            Reasoning("Two things."),
            Text("Let me see."),
            ToolCall("calculator", {"expression": "6 * 7"}, id="a", fragments=5),
            ToolCall("current_time", {"timezone": "Asia/Tokyo"}, id="b", fragments=5),
        ]
    )
    chunks, joined = await streamed(model, name)
    assert [(call["id"], call["name"], call["args"]) for call in joined.tool_calls] == [
        ("a", "calculator", {"expression": "6 * 7"}),
        ("b", "current_time", {"timezone": "Asia/Tokyo"}),
    ]
    assert joined.text == "Let me see."
    assert "".join(blocks(chunks, "text")) == "Let me see.", "no part of a tool call is taken for text"
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_tool_call_without_an_index_is_a_tool_call(model_server: ModelServer, model: BaseChatModel) -> None:
    """Some servers send each call whole, and no index with it."""
    call = {"id": "a", "type": "function", "function": {"name": "calculator", "arguments": '{"expression": "6*7"}'}}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    sent = {**chunk, "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    without_delta = {**chunk, "choices": [{"index": 0, "finish_reason": None}]}
    name = model_server.script(
        [*(Garbage(f"data: {json.dumps(event)}\n\n".encode()) for event in (without_delta, sent))]
    )
    _, joined = await streamed(model, name)
    assert [(call["id"], call["name"], call["args"]) for call in joined.tool_calls] == [
        ("a", "calculator", {"expression": "6*7"})
    ]


async def test_a_chunk_is_not_made_a_model_of_on_its_way(
    model_server: ModelServer, model: BaseChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be the dearest part of a token's way. The SDK's door for it is not public: this says when it has moved."""
    made: list[object] = []
    monkeypatch.setattr(ChatCompletionChunk, "construct", lambda *_, **values: made.append(values))
    _, joined = await streamed(model, model_server.script([Text(["Fi", "ne."])]))
    assert joined.text == "Fine."
    assert made == []


async def test_usage_said_more_than_once_is_not_added_up(model_server: ModelServer, model: BaseChatModel) -> None:
    name = model_server.script([Text("a"), sent_usage(1), Text("b"), sent_usage(2), Usage(10, 3)])
    chunks, joined = await streamed(model, name)
    assert joined.usage_metadata
    assert (joined.usage_metadata["input_tokens"], joined.usage_metadata["output_tokens"]) == (10, 3)
    assert chunks[-1].chunk_position == "last"


async def test_without_streaming_it_is_the_same(model_server: ModelServer, model: BaseChatModel) -> None:
    name = model_server.script([Reasoning("Let me think.", "reasoning"), Text("Done."), Usage(5, 4)])
    answer = await model.ainvoke(f"script:{name}")
    assert answer.content_blocks == [
        {"type": "reasoning", "reasoning": "Let me think."},
        {"type": "text", "text": "Done."},
    ]
    assert answer.usage_metadata
    assert answer.usage_metadata["output_tokens"] == 4


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_what_it_thought_before_a_tool_call_is_sent_back_with_the_result(
    model_server: ModelServer, model: BaseChatModel, field: Field
) -> None:
    """DeepSeek answers with an error otherwise; what was thought in earlier turns stays out."""
    name = model_server.script(
        [Reasoning("I must multiply.", field), ToolCall("calculator", {"expression": "6*7"})],
        [Reasoning("I have it.", field), Text("42")],
    )
    earlier = AIMessage("Hi.", additional_kwargs={"reasoning_content": "an old thought"})
    said = await converse(
        build("assistant", model=model, max_iterations=3), f"script:{name}", history=[HumanMessage("Hello"), earlier]
    )
    assert answers(said)[-1].text == "42"
    sent = model_server.requests(name)[1].messages
    assert sent[-2]["role"] == "assistant"
    assert sent[-2][field] == "I must multiply."
    assert "old thought" not in json.dumps(sent)


async def test_a_server_that_knows_no_reasoning_is_sent_none(model_server: ModelServer, model: BaseChatModel) -> None:
    name = model_server.script([Text("Fine.")])
    history: list[Any] = [
        HumanMessage(f"script:{name}"),
        AIMessage("", additional_kwargs={"reasoning_content": "hm"}, tool_calls=[{"name": "t", "args": {}, "id": "1"}]),
        ToolMessage("ok", tool_call_id="1"),
    ]
    await model.ainvoke(history)
    assert "hm" not in json.dumps(model_server.requests()[0].messages)


async def test_usage_is_asked_for_and_a_key_is_sent_though_none_is_set(
    model_server: ModelServer, model: BaseChatModel
) -> None:
    name = model_server.script([Text("Fine.")])
    await streamed(model, name)
    (request,) = model_server.requests(name)
    assert request.body["stream_options"] == {"include_usage": True}
    assert request.headers["authorization"] == "Bearer none"
    with_key = chat_model("openai:scripted", openai_base_url=model_server.base_url, openai_api_key="sk-own")
    await streamed(with_key, name)
    assert model_server.requests(name)[-1].headers["authorization"] == "Bearer sk-own"


async def test_auto_is_the_first_model_that_the_server_lists(model_server: ModelServer) -> None:
    name = model_server.script([Text("Fine.")])
    model = chat_model("openai:auto", openai_base_url=model_server.base_url)
    _, joined = await streamed(model, name)
    assert joined.text == "Fine."
    assert model_server.requests(name)[0].body["model"] == "scripted"


async def test_a_server_without_models_or_without_an_answer_is_named() -> None:
    async with serving() as web:
        web.answers["/v1/models"] = whole(b'{"object": "list", "data": []}', content_type="application/json")
        base_url = web.url("/v1")
        with pytest.raises(ModelError, match="has no model loaded"):
            await chat_model("openai:auto", openai_base_url=base_url).ainvoke("hi")
    model = chat_model("openai:auto", openai_base_url=base_url)
    assert isinstance(model, OpenAICompatibleChat)
    with pytest.raises(ModelError, match="Is it running"):
        await model.ainvoke("hi")


async def test_an_error_of_the_server_is_an_error(model_server: ModelServer, model: BaseChatModel) -> None:
    name = model_server.script([Refusal(400, "context too long")])
    with pytest.raises(Exception, match="context too long"):
        await streamed(model, name)
