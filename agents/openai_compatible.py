"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp, LM Studio, DeepSeek, OpenRouter and others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai.chat_models.base import BaseChatOpenAI
from openai.types.chat import ChatCompletionChunk
from pydantic import PrivateAttr, SecretStr, model_validator

from agents.model_choice import AUTO, ModelError

# The SDK refuses to start without a key; servers of one's own ask for none.
_NO_KEY = SecretStr("none")

# What servers call the text of the reasoning: DeepSeek, llama.cpp, older vLLM and Qwen; newer vLLM, OpenRouter, Groq.
_REASONING_FIELDS = ("reasoning_content", "reasoning")

# A name for which LangChain has no translator: it then reads `reasoning_content` from the additional arguments of a
# message, as it does for DeepSeek and Groq; its translator for "openai" does not.
_PROVIDER = "openai_compatible"


class OpenAICompatibleChat(BaseChatOpenAI):
    """A chat model behind an OpenAI-compatible server, with its reasoning and its usage.

    Reasoning is kept in `additional_kwargs["reasoning_content"]`, where LangChain's `content_blocks` finds it: the
    first block of such a chunk is `{"type": "reasoning", "reasoning": …}`. Usage comes once, with the last chunk.
    """

    _reasoning_field: str | None = PrivateAttr(default=None)

    @property
    def _llm_type(self) -> str:
        return "openai-compatible-chat"

    @model_validator(mode="after")
    def _take_chunks_as_they_come(self) -> Self:
        """The SDK makes a model of each chunk of a stream, and LangChain, which takes both, a dictionary of that again: a third
        of what a token costs. Here it stays the dictionary that it was.
        """
        client = self.root_async_client
        as_model = client._process_response_data

        def process(*, data: object, cast_to: object, response: object) -> object:
            return data if cast_to is ChatCompletionChunk else as_model(data=data, cast_to=cast_to, response=response)

        client._process_response_data = process
        return self

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        *,
        stream_usage: bool | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        await self._choose_model()
        usage = None
        async for chunk in super()._astream(messages, stop, run_manager, stream_usage=stream_usage, **kwargs):
            if isinstance(chunk.message, AIMessageChunk) and chunk.message.usage_metadata is not None:
                # Some servers report the usage so far with every chunk, or twice at the end; LangChain would add it up.
                usage, chunk.message.usage_metadata = chunk.message.usage_metadata, None
            yield chunk
        yield ChatGenerationChunk(message=AIMessageChunk(content="", usage_metadata=usage, chunk_position="last"))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        await self._choose_model()
        return await super()._agenerate(messages, stop, run_manager, **kwargs)

    async def _choose_model(self) -> None:
        if self.model_name != AUTO:
            return
        try:
            listed = [model.id async for model in self.root_async_client.models.list()]
        except openai.OpenAIError as error:
            raise ModelError(
                f"The model server at {self.openai_api_base} does not say which models it has "
                f"({type(error).__name__}). Is it running? If so, name a model: MODEL=openai:<name>."
            ) from error
        if not listed:
            raise ModelError(f"The model server at {self.openai_api_base} has no model loaded.")
        self.model_name = listed[0]

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        for choice in chunk.get("choices") or ():
            # LangChain relies on these; not every server sends them.
            for call in (choice.setdefault("delta", None) or {}).get("tool_calls") or ():
                call.setdefault("index", None)
        generation = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        if generation is not None and (choices := chunk.get("choices")):
            self._keep_reasoning(choices[0].get("delta") or {}, generation.message)
        return generation

    def _create_chat_result(
        self, response: dict[str, Any] | openai.BaseModel, generation_info: dict[str, Any] | None = None
    ) -> ChatResult:
        result = super()._create_chat_result(response, generation_info)
        content = response if isinstance(response, dict) else response.model_dump()
        for choice, generation in zip(content["choices"], result.generations, strict=True):
            self._keep_reasoning(choice["message"], generation.message)
        if result.llm_output:
            result.llm_output["model_provider"] = _PROVIDER
        return result

    def _keep_reasoning(self, said: dict[str, Any], message: BaseMessage) -> None:
        if not isinstance(message, AIMessage):
            return
        message.response_metadata["model_provider"] = _PROVIDER
        for field in _REASONING_FIELDS:
            if isinstance(text := said.get(field), str) and text:
                self._reasoning_field = field
                message.additional_kwargs["reasoning_content"] = text
                return

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if self._reasoning_field is not None:
            # Between a tool call and its result the model is in mid-thought: DeepSeek refuses to go on without what it
            # had thought, others think worse. Servers take it under the name under which they gave it.
            for message, sent in zip(self._convert_input(input_).to_messages(), payload["messages"], strict=True):
                reasoning = message.additional_kwargs.get("reasoning_content")
                if isinstance(message, AIMessage) and message.tool_calls and reasoning:
                    sent[self._reasoning_field] = reasoning
        return payload


def openai_compatible(name: str, *, base_url: str, api_key: str = "") -> OpenAICompatibleChat:
    """The model `name` (AUTO: the server's first) at `base_url`, which ends in `/v1` with most servers."""
    return OpenAICompatibleChat(
        model=name,
        base_url=base_url,
        api_key=SecretStr(api_key) if api_key else _NO_KEY,
        stream_usage=True,
        use_responses_api=False,
    )
