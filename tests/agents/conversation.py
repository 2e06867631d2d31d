"""Talking to an agent from a test: one question in, every message of the run out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langgraph.graph.state import CompiledStateGraph

from agents.context import Excerpt, RunContext

Search = Callable[[str, int], Awaitable[list[Excerpt]]]


async def nothing_found(query: str, limit: int) -> list[Excerpt]:
    return []


async def converse(
    agent: CompiledStateGraph[Any, RunContext, Any, Any],
    question: str,
    *,
    history: Sequence[BaseMessage] = (),
    search: Search = nothing_found,
) -> list[BaseMessage]:
    """The messages that the agent adds to the conversation, streamed and put together as the site does it."""
    said: list[BaseMessage] = []
    async for part in agent.astream(
        {"messages": [*history, HumanMessage(question)]},
        context=RunContext(search_sessions=search),
        stream_mode=["messages", "updates"],
        version="v2",
    ):
        if part["type"] != "updates":
            # Listened to all the same: only then is the model asked for a stream.
            continue
        updates = cast(Mapping[str, Mapping[str, Any] | None], part["data"])
        for update in updates.values():
            said += (update or {}).get("messages", [])
    return said


def answers(said: Sequence[BaseMessage]) -> list[AIMessage]:
    return [message for message in said if isinstance(message, AIMessage)]


def results(said: Sequence[BaseMessage]) -> list[ToolMessage]:
    return [message for message in said if isinstance(message, ToolMessage)]


def blocks(chunks: Sequence[AIMessageChunk], kind: str) -> list[str]:
    """What the chunks' blocks of one kind say, `text` or `reasoning`, as the site reads it."""
    found = (cast(Mapping[str, Any], block) for chunk in chunks for block in chunk.content_blocks)
    return [str(block[kind]) for block in found if block["type"] == kind]
