"""A tool that fails: a sentence for the model, while its siblings and the run go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

import pytest
from langchain_core.tools import BaseTool, ToolException, tool

from agents import middleware
from agents.context import Excerpt
from agents.llm import chat_model
from agents.registry import build
from agents.tools import TOOLS
from tests.agents.conversation import Search, answers, converse, nothing_found, results
from tests.parts.model_server import ModelServer, Text, ToolCall


async def asked(
    server: ModelServer,
    *calls: ToolCall,
    tools: Mapping[str, BaseTool] | None = None,
    search: Search = nothing_found,
) -> dict[str, tuple[str, str]]:
    """The result (status, text) of each call by its id, from a run in which the model makes these calls at once."""
    name = server.script(calls, [Text("Fine.")])
    agent = build(
        "assistant",
        model=chat_model("openai:scripted", openai_base_url=server.base_url),
        max_iterations=5,
        tools=tools,
    )
    said = await converse(agent, f"script:{name}", search=search)
    assert answers(said)[-1].text == "Fine.", "the run went on to its answer"
    return {result.tool_call_id: (result.status, result.text) for result in results(said)}


def with_search(replacement: BaseTool) -> dict[str, BaseTool]:
    return {"search_sessions": replacement}


async def test_a_failed_tool_harms_no_other(model_server: ModelServer) -> None:
    found = await asked(
        model_server,
        ToolCall("calculator", {"expression": "9**9**9"}, id="a"),
        ToolCall("calculator", {"expression": "6*7"}, id="b"),
        ToolCall("current_time", {"timezone": "Mars/Olympus"}, id="c"),
        ToolCall("fetch_url", {"url": "http://127.0.0.1/"}, id="d"),
    )
    assert found["a"] == ("error", "The numbers get too large: at most 1,000 digits are worked out exactly.")
    assert found["b"] == ("success", "42")
    assert found["c"][0] == found["d"][0] == "error"
    assert "There is no time zone “Mars/Olympus”" in found["c"][1]
    assert "not on the public internet" in found["d"][1]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            ToolCall("calculator", {}, id="x"),
            "The tool calculator was called with wrong arguments. expression: Field required.",
        ),
        (
            ToolCall("calculator", {"expression": {"a": 1}}, id="x"),
            "The tool calculator was called with wrong arguments. expression: Input should be a valid string.",
        ),
        (
            ToolCall("search_sessions", {"words": "solar"}, id="x"),
            "The tool search_sessions was called with wrong arguments. query: Field required.",
        ),
    ],
)
async def test_wrong_arguments_are_named(model_server: ModelServer, call: ToolCall, sentence: str) -> None:
    assert await asked(model_server, call) == {"x": ("error", sentence)}


@pytest.mark.parametrize("arguments", ["not JSON at all", "[1, 2]", '"6*7"', "{'expression': '6*7'}"])
async def test_arguments_that_are_no_json_are_an_error_result(model_server: ModelServer, arguments: str) -> None:
    """Also for a tool that could do without arguments, and beside a call that is right."""
    found = await asked(
        model_server,
        ToolCall("current_time", arguments, id="x"),
        ToolCall("calculator", {"expression": "6*7"}, id="y"),
    )
    sentence = "The tool current_time was called with arguments that are not a JSON object."
    assert found == {"x": ("error", sentence), "y": ("success", "42")}
    assert await asked(model_server, ToolCall("current_time", arguments, id="x")) == {"x": ("error", sentence)}


async def test_a_tool_that_does_not_exist_is_an_error_result(model_server: ModelServer) -> None:
    found = await asked(model_server, ToolCall("rm_rf", {}, id="x"))
    assert found["x"][0] == "error"
    assert "rm_rf is not a valid tool" in found["x"][1]


async def test_an_unexpected_exception_tells_the_log_and_not_the_model(
    model_server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(query: str, limit: int) -> list[Excerpt]:
        raise RuntimeError("password=hunter2 in /srv/secret/settings.py")

    with caplog.at_level(logging.ERROR, "agents.middleware"):
        found = await asked(model_server, ToolCall("search_sessions", {"query": "solar"}, id="x"), search=broken)
    assert found == {"x": ("error", "The tool search_sessions failed unexpectedly (RuntimeError).")}
    assert "hunter2" in caplog.text


async def test_a_tool_that_takes_too_long_is_stopped(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TOOLS, "search_sessions", replace(TOOLS["search_sessions"], timeout=0.2))
    stopped = asyncio.Event()

    async def slow(query: str, limit: int) -> list[Excerpt]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return []

    found = await asked(
        model_server,
        ToolCall("search_sessions", {"query": "solar"}, id="x"),
        ToolCall("calculator", {"expression": "1+1"}, id="y"),
        search=slow,
    )
    assert found["x"] == ("error", "The tool search_sessions was stopped: it took longer than 0.2 seconds.")
    assert found["y"] == ("success", "2")
    assert stopped.is_set(), "the tool itself was stopped, not only no longer waited for"


async def test_a_tool_without_a_timeout_of_its_own_has_the_default(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnamed = with_search(TOOLS["search_sessions"].load())
    monkeypatch.delitem(TOOLS, "search_sessions")
    monkeypatch.setattr(middleware, "DEFAULT_TIMEOUT", 0.1)

    async def slow(query: str, limit: int) -> list[Excerpt]:
        await asyncio.sleep(60)
        return []

    found = await asked(
        model_server, ToolCall("search_sessions", {"query": "solar"}, id="x"), tools=unnamed, search=slow
    )
    assert "took longer than 0.1 seconds" in found["x"][1]


async def test_a_tools_own_time_out_is_not_said_to_be_ours(model_server: ModelServer) -> None:
    @tool
    async def search_sessions(query: str) -> str:
        """Search."""
        raise TimeoutError

    found = await asked(
        model_server, ToolCall("search_sessions", {"query": "x"}, id="x"), tools=with_search(search_sessions)
    )
    assert found["x"] == ("error", "The tool search_sessions failed unexpectedly (TimeoutError).")


async def test_a_tool_exception_without_words_is_a_sentence_all_the_same(model_server: ModelServer) -> None:
    @tool
    async def search_sessions(query: str) -> str:
        """Search."""
        raise ToolException

    found = await asked(
        model_server, ToolCall("search_sessions", {"query": "x"}, id="x"), tools=with_search(search_sessions)
    )
    assert found["x"] == ("error", "The tool search_sessions failed.")


async def test_a_stopped_run_is_no_failed_tool(model_server: ModelServer) -> None:
    """Cancelling the run cancels the tool, and nothing turns that into a result."""
    began = asyncio.Event()
    stopped = asyncio.Event()

    async def slow(query: str, limit: int) -> list[Excerpt]:
        began.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.set()
            raise
        return []

    run = asyncio.create_task(asked(model_server, ToolCall("search_sessions", {"query": "x"}), search=slow))
    await asyncio.wait_for(began.wait(), 10)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert stopped.is_set()
    assert len(model_server.requests()) == 1
