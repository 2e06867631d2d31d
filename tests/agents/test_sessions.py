"""The search through earlier sessions: what the run's context finds, as a list a model can quote from."""

from __future__ import annotations

from agents.context import Excerpt
from agents.llm import chat_model
from agents.registry import build
from agents.tools import TOOLS
from agents.tools.sessions import MAX_CHARACTERS, MAX_EXCERPTS
from tests.agents.conversation import converse, results
from tests.parts.model_server import ModelServer, Text, ToolCall


async def searched(server: ModelServer, query: str, excerpts: list[Excerpt]) -> tuple[str, list[tuple[str, int]]]:
    asked: list[tuple[str, int]] = []

    async def search(words: str, limit: int) -> list[Excerpt]:
        asked.append((words, limit))
        return excerpts

    name = server.script([ToolCall("search_sessions", {"query": query})], [Text("Fine.")])
    model = chat_model("openai:scripted", openai_base_url=server.base_url)
    said = await converse(build("researcher", model=model, max_iterations=3), f"script:{name}", search=search)
    (result,) = results(said)
    assert result.status == "success"
    return result.text, asked


def excerpt(text: str, title: str = "Roof") -> Excerpt:
    return Excerpt(session_id="s1", title=title, when="2026-03-01T09:05:07+00:00", text=text)


async def test_excerpts_are_listed_with_title_and_day(model_server: ModelServer) -> None:
    text, asked = await searched(
        model_server, "  solar panels ", [excerpt("cost\n  300 each"), excerpt("20 years", title="")]
    )
    assert text == "1. “Roof” (2026-03-01): cost 300 each\n2. “Untitled” (2026-03-01): 20 years"
    assert asked == [("solar panels", MAX_EXCERPTS)]


async def test_nothing_found_says_so(model_server: ModelServer) -> None:
    text, _ = await searched(model_server, "unicorns", [])
    assert text.startswith("Nothing in the earlier sessions matches “unicorns”.")


async def test_an_empty_query_asks_nobody(model_server: ModelServer) -> None:
    text, asked = await searched(model_server, " ", [excerpt("everything")])
    assert text.startswith("Nothing to search for")
    assert asked == []


async def test_long_and_many_excerpts_are_cut(model_server: ModelServer) -> None:
    text, _ = await searched(model_server, "x", [excerpt("word " * 1_000)] * 20)
    lines = text.splitlines()
    assert len(lines) == MAX_EXCERPTS
    assert all(len(line) < MAX_CHARACTERS + 60 and line.endswith(" …") for line in lines)


def test_the_model_never_sees_the_context() -> None:
    assert set(TOOLS["search_sessions"].load().args) == {"query"}
