"""The agents: who there is, what they are made of, and where their loop ends."""

from __future__ import annotations

import pytest
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError

from agents.llm import chat_model
from agents.registry import AGENTS, DEFAULT_AGENT, UnknownAgent, build, get
from agents.tools import TIMEOUTS, TOOLS
from tests.agents.conversation import answers, converse
from tests.parts.model_server import ModelServer, Text, ToolCall


def test_the_agents_are_the_four_that_were_promised() -> None:
    assert list(AGENTS) == ["assistant", "researcher", "analyst", "writer"]
    assert DEFAULT_AGENT == "researcher"


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_says_what_it_is_and_has_tools_that_exist(name: str) -> None:
    spec = get(name)
    assert spec.name == name
    assert spec.title
    assert spec.description.endswith(".")
    assert spec.prompt
    assert set(spec.tools) <= set(TOOLS)
    build(name, model=chat_model("demo"), max_iterations=1)


def test_every_tool_has_a_name_a_description_and_a_time_out() -> None:
    assert set(TIMEOUTS) == set(TOOLS) == {"calculator", "current_time", "fetch_url", "search_sessions"}
    assert all(tool.name == name and tool.description for name, tool in TOOLS.items())
    assert all(0 < seconds <= 30 for seconds in TIMEOUTS.values())


def test_an_unknown_agent_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownAgent, match="“nobody”; there are assistant, researcher, analyst, writer"):
        get("nobody")
    with pytest.raises(UnknownAgent):
        build("nobody", model=chat_model("demo"), max_iterations=1)


@pytest.mark.parametrize("name", AGENTS)
async def test_the_model_is_told_its_part_and_given_its_tools(model_server: ModelServer, name: str) -> None:
    script = model_server.script([Text("Fine.")])
    model = chat_model("openai:scripted", openai_base_url=model_server.base_url)
    await converse(build(name, model=model, max_iterations=3), f"script:{script}")
    (request,) = model_server.requests(script)
    assert request.messages[0] == {"role": "system", "content": get(name).prompt}
    assert request.tools == list(get(name).tools)


@pytest.mark.parametrize("limit", [1, 3])
async def test_the_model_is_asked_as_often_as_allowed_and_then_the_run_fails(
    model_server: ModelServer, limit: int
) -> None:
    name = model_server.script(*([ToolCall("calculator", {"expression": f"{turn}+1"})] for turn in range(10)))
    model = chat_model("openai:scripted", openai_base_url=model_server.base_url)
    with pytest.raises(ModelCallLimitExceededError) as error:
        await converse(build("assistant", model=model, max_iterations=limit), f"script:{name}")
    assert error.value.run_limit == error.value.run_count == limit
    assert len(model_server.requests(name)) == limit


async def test_an_answer_with_the_last_call_that_is_allowed_is_an_answer(model_server: ModelServer) -> None:
    name = model_server.script([ToolCall("calculator", {"expression": "1+1"})], [Text("Two.")])
    model = chat_model("openai:scripted", openai_base_url=model_server.base_url)
    said = await converse(build("assistant", model=model, max_iterations=2), f"script:{name}")
    assert answers(said)[-1].text == "Two."


async def test_the_limit_counts_each_run_by_itself(model_server: ModelServer) -> None:
    """An agent is built once and asked many times."""
    name = model_server.script([ToolCall("calculator", {"expression": "1+1"})], [Text("Two.")])
    agent = build(
        "assistant", model=chat_model("openai:scripted", openai_base_url=model_server.base_url), max_iterations=2
    )
    for _ in range(3):
        assert answers(await converse(agent, f"script:{name}"))[-1].text == "Two."
