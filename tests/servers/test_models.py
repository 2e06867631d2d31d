"""Real model servers, through the whole way: HTTP, LangChain, the log, the socket."""

from __future__ import annotations

from typing import Any

import pytest

from tests.parts.model_script import Attempts, Cut, Garbage, Gate, Hang, Reasoning, Refusal, Text, ToolCall, Usage
from tests.parts.model_server import ModelServer
from tests.parts.site_process import NewSite, Site
from tests.parts.socket_client import LiveTab, open_tab


def steps(tab: LiveTab) -> list[dict[str, Any]]:
    return [frame["data"] for frame in tab.transcript() if frame["type"] == "reasoning_step"]


async def test_reasoning_parallel_tools_and_usage(site: Site, model_server: ModelServer) -> None:
    """An OpenAI-compatible server's reasoning, both spellings, its tool calls in fragments, and its usage are recorded."""
    user = site.new_user()
    name = model_server.script(
        [
            Reasoning("I need two things."),
            Text("Let me look."),
            ToolCall("calculator", {"expression": "6*7"}),
            ToolCall("current_time", {"timezone": "Nowhere/None"}),
            Usage(100, 20, reasoning=5),
        ],
        [Reasoning("Good.", field="reasoning"), Text("It is 42."), Usage(150, 10)],
    )
    async with open_tab(site, user, user.name) as tab:
        run_id = await tab.say(f"script:{name}")
        await tab.until_ended(run_id)
        recorded = steps(tab)
        assert [(step["type"], step["iteration"], step.get("reasoning", False)) for step in recorded] == [
            ("thought", 1, True),
            ("thought", 1, False),
            ("tool_use", 1, False),
            ("tool_use", 1, False),
            ("tool_result", 1, False),
            ("tool_result", 1, False),
            ("thought", 2, True),
            ("final_answer", 2, False),
        ]
        assert recorded[2]["arguments"] == {"expression": "6*7"}
        results = {step["tool_name"]: step for step in recorded if step["type"] == "tool_result"}
        assert results["calculator"]["content"] == "42"
        assert results["current_time"]["is_error"] is True
        assert recorded[-1]["content"] == "It is 42."
        end = tab.transcript()[-1]["data"]
        assert end["state"] == "completed"
        assert end["usage"] == {"input_tokens": 250, "output_tokens": 30, "reasoning_tokens": 5}
        drafted = {frame["data"]["type"] for frame in tab.frames if frame["type"] == "reasoning_delta"}
        assert drafted == {"thought", "final_answer"}
        # What the model was sent the second time: its own call and both results, the reasoning kept apart.
        roles = [message["role"] for message in model_server.requests(name)[-1].messages]
        assert roles == ["system", "user", "assistant", "tool", "tool"]


@pytest.mark.parametrize(
    ("pieces", "code", "kept"),
    [
        ([Text("Half an answer"), Cut()], "model_error", "Half an answer"),
        ([Refusal(401, "key sk-very-secret is wrong")], "model_error", None),
        ([Text("Half"), Garbage()], None, "Half"),
        ([Text("Half"), Hang()], "timed_out", "Half"),
    ],
    ids=["cut", "refused", "garbage", "hang"],
)
async def test_a_model_server_that_fails(
    new_site: NewSite, model_server: ModelServer, pieces: list[Any], code: str | None, kept: str | None
) -> None:
    """The run ends in one error step that says what happened, keeps what was said, and lets nothing secret out."""
    site = new_site(RUN_SECONDS="4")
    user = site.new_user()
    name = model_server.script(pieces)
    async with open_tab(site, user, user.name) as tab:
        run_id = await tab.say(f"script:{name}")
        await tab.until_ended(run_id, timeout=30)
        recorded = steps(tab)
        assert [step["type"] for step in recorded] == ["final_answer"] * (kept is not None) + ["error"]
        if kept is not None:
            assert recorded[0]["content"].strip() == kept
            assert recorded[0]["is_partial"] is True
        if code is not None:
            assert recorded[-1]["code"] == code
        assert recorded[-1]["content"].endswith(".")
        assert "sk-very-secret" not in str(tab.frames)
        again = await tab.say(f"script:{model_server.script([Text('Whole.')])}")
        await tab.until_ended(again)
        assert tab.tab.runs[again].state == "completed"


async def test_a_server_that_is_overloaded_for_a_moment(site: Site, model_server: ModelServer) -> None:
    """A refusal that passes is tried again and leaves no trace."""
    user = site.new_user()
    name = model_server.script(Attempts([[Refusal(503)], [Text("There.")]]))
    async with open_tab(site, user, user.name) as tab:
        run_id = await tab.say(f"script:{name}")
        await tab.until_ended(run_id)
        assert [step["content"] for step in steps(tab)] == ["There."]


async def test_the_sockets_go_but_the_run_goes_on(site: Site, model_server: ModelServer) -> None:
    """A run belongs to no connection: with every tab closed it works on, and is there for whoever comes back."""
    user = site.new_user()
    name = model_server.script([Text("Before "), Gate("closed"), Text("after.")])
    async with open_tab(site, user, user.name) as tab:
        run_id = await tab.say(f"script:{name}")
        await model_server.at("closed")
    model_server.open("closed")
    async with open_tab(site, user, user.name) as tab:
        await tab.until_ended(run_id)
        assert steps(tab)[-1]["content"] == "Before after."


async def test_a_real_small_model(new_site: NewSite, small_model: str) -> None:
    """A real language model on a real server streams through the whole way; of what it says nothing is asked."""
    site = new_site(MODEL="openai:auto", OPENAI_BASE_URL=small_model)
    user = site.new_user()
    async with open_tab(site, user, "small") as tab:
        run_id = await tab.say("Say hello.", agent_name="writer")
        await tab.until_ended(run_id, timeout=90)
        assert tab.tab.runs[run_id].state == "completed"
        # On a busy machine all that so small a model says may be one piece.
        assert any(frame["type"] == "reasoning_delta" for frame in tab.frames)
        assert steps(tab)[-1]["content"].strip()
        assert site.runs("small")[0]["model"] == "smollm2"
        assert site.runs("small")[0]["output_tokens"] > 1
