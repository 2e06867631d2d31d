"""A chat model without a provider: rules instead of weights, so that the site shows what it does on any machine."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from agents.demo_rules import Reply, reply

_ARGUMENT_PIECE = 8


class DemoChatModel(BaseChatModel):
    """Thinks, calls the tools it was given and answers from their results, by rules; needs no network.

    It streams as providers do: reasoning first, then text, then tool calls in fragments, usage (in words) at the end.
    """

    delay: float = Field(default=0.02, ge=0)
    """Seconds before each piece of a streamed reply."""

    @property
    def _llm_type(self) -> str:
        return "demo"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model, calling these tools and no others; `tool_choice="none"` forbids them all."""
        bound = [] if tool_choice == "none" else [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=bound, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        said = reply(messages, _names(kwargs))
        message = AIMessage(
            content=said.text,
            additional_kwargs={"reasoning_content": said.reasoning},
            tool_calls=[tool_call(name=call.tool, args=dict(call.arguments), id=_call_id()) for call in said.calls],
            usage_metadata=_usage(messages, said),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        said = reply(messages, _names(kwargs))
        for chunk in _chunks(said):
            await asyncio.sleep(self.delay)
            yield ChatGenerationChunk(message=chunk)
        yield ChatGenerationChunk(
            message=AIMessageChunk(content="", usage_metadata=_usage(messages, said), chunk_position="last")
        )


def _chunks(said: Reply) -> Iterator[AIMessageChunk]:
    for piece in _pieces(said.reasoning):
        yield AIMessageChunk(content="", additional_kwargs={"reasoning_content": piece})
    for piece in _pieces(said.text):
        yield AIMessageChunk(content=piece)
    for index, call in enumerate(said.calls):
        # As providers do it: the name first, then the arguments in fragments that are no JSON by themselves.
        yield AIMessageChunk(
            content="", tool_call_chunks=[tool_call_chunk(name=call.tool, args="", id=_call_id(), index=index)]
        )
        arguments = json.dumps(dict(call.arguments))
        for start in range(0, len(arguments), _ARGUMENT_PIECE):
            fragment = arguments[start : start + _ARGUMENT_PIECE]
            yield AIMessageChunk(
                content="", tool_call_chunks=[tool_call_chunk(name=None, args=fragment, id=None, index=index)]
            )


def _pieces(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*?|\s+", text)


def _usage(messages: list[BaseMessage], said: Reply) -> UsageMetadata:
    asked = sum(len(message.text.split()) for message in messages)
    thought = len(said.reasoning.split())
    answered = thought + len(said.text.split()) + sum(1 + len(call.arguments) for call in said.calls)
    return UsageMetadata(
        input_tokens=asked,
        output_tokens=answered,
        total_tokens=asked + answered,
        output_token_details=OutputTokenDetails(reasoning=thought),
    )


def _names(kwargs: dict[str, Any]) -> frozenset[str]:
    return frozenset(tool["function"]["name"] for tool in kwargs.get("tools") or [])


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"
