"""Models that Ollama serves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
from langchain_core.messages import BaseMessage
from langchain_ollama import ChatOllama
from ollama import AsyncClient, ResponseError

from agents.model_choice import AUTO, ModelError


class OllamaChat(ChatOllama):
    """Asks for the model's reasoning, and does without where it has none: Ollama answers the question with an error."""

    async def _acreate_chat_stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[Mapping[str, Any] | str]:
        await self._choose_model()
        try:
            async for part in super()._acreate_chat_stream(messages, stop, **kwargs):
                yield part
        except ResponseError as error:
            if not self.reasoning or "does not support thinking" not in error.error:
                raise
            self.reasoning = None
        else:
            return
        async for part in super()._acreate_chat_stream(messages, stop, **kwargs):
            yield part

    async def _choose_model(self) -> None:
        if self.model != AUTO:
            return
        client: AsyncClient = self._async_client
        try:
            models = (await client.list()).models
        except (ConnectionError, httpx.HTTPError, ResponseError) as error:
            raise ModelError("Ollama does not answer. Start it, or check OLLAMA_HOST.") from error
        if not models or not models[0].model:
            raise ModelError("Ollama has no model yet. Get one, for example: ollama pull qwen3")
        self.model = models[0].model


def ollama_chat(name: str, *, base_url: str = "") -> OllamaChat:
    """The model `name` (AUTO: the most recent) at `base_url`, by default where Ollama's own settings say."""
    return OllamaChat(model=name, base_url=base_url or None, reasoning=True, output_version="v1")
