"""One smoke test over a real model: what it says matters little, that it arrives in pieces matters."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessageChunk

from agents.llm import chat_model
from tests.agents.conversation import blocks

# LangChain keeps one HTTP client for each server's address, and its connections belong to the loop that opened them.
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_real_model_streams_its_answer(small_model: str) -> None:
    model = chat_model("openai:smollm2", openai_base_url=small_model)
    chunks = [chunk async for chunk in model.astream("Say hello in one short sentence.")]
    pieces = [piece for piece in blocks(chunks, "text") if piece]
    assert len(pieces) > 1
    whole = sum(chunks[1:], start=chunks[0])
    assert isinstance(whole, AIMessageChunk)
    assert whole.text.strip()
    assert whole.usage_metadata
    assert 1 < whole.usage_metadata["output_tokens"] <= 24


async def test_a_real_server_says_which_model_it_has(small_model: str) -> None:
    model = chat_model("openai:auto", openai_base_url=small_model)
    answer = await model.ainvoke("Say hello.")
    assert answer.text.strip()
    assert answer.response_metadata["model_name"] == "smollm2"
