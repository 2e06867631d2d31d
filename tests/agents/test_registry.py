"""The agents: who there is, what they are made of, and where their loop ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError

from agents.llm import chat_model
from agents.registry import AGENTS, DEFAULT_AGENT, BadModule, UnknownAgent, build, extend, get
from agents.tools import TOOLS, is_safe_to_repeat
from tests.agents.conversation import answers, converse, results
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
    assert set(TOOLS) == {"calculator", "current_time", "fetch_url", "search_sessions"}
    for name, spec in TOOLS.items():
        tool = spec.load()
        assert spec.name == tool.name == name
        assert tool.description
        assert 0 < spec.timeout <= 30


def test_the_tools_that_come_along_only_look_and_an_unknown_one_may_have_done_anything() -> None:
    assert all(is_safe_to_repeat(name) for name in TOOLS)
    assert not is_safe_to_repeat("launch_missile")


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


# --- agents and tools of other people's modules -----------------------------------------------------------------------

NewModule = Callable[[str, str], int]

GREETER = """
from agents.registry import AgentSpec
from agents.tools import ToolSpec

TOOLS = [ToolSpec(name="greet", module="greeter_tools", timeout=0.05, safe_to_repeat=True)]
AGENTS = [AgentSpec(name="greeter", title="Greeter", description="Greets.", prompt="Greet.", tools=("greet", "calculator"))]
"""
GREET = """
import asyncio
from langchain_core.tools import tool

@tool
async def greet(name: str) -> str:
    \"\"\"Greet somebody.\"\"\"
    if name == "sloth":
        await asyncio.sleep(60)
    return f"Hello, {name}."
"""


@pytest.fixture
def new_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewModule]:
    """Write a module that can be imported for the length of a test; what it adds is taken back."""
    monkeypatch.syspath_prepend(tmp_path)
    agents, tools = dict(AGENTS), dict(TOOLS)
    yield lambda name, text: (tmp_path / f"{name}.py").write_text(text)
    for known, before in ((AGENTS, agents), (TOOLS, tools)):
        for name in known.keys() - before.keys():
            del known[name]
    # Those alone: of a library that was imported meanwhile, a second copy would not know the errors of the first.
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


async def test_a_module_adds_an_agent_and_a_tool(new_module: NewModule, model_server: ModelServer) -> None:
    """The tool is imported with the first agent that has it, keeps to its time and says itself whether it may run twice."""
    new_module("greeter", GREETER)
    new_module("greeter_tools", GREET)
    extend(["greeter"])
    assert list(AGENTS)[-1] == "greeter"
    assert is_safe_to_repeat("greet")
    assert "greeter_tools" not in sys.modules
    script = model_server.script(
        [ToolCall("greet", {"name": "Ada"}, id="a"), ToolCall("greet", {"name": "sloth"}, id="b")], [Text("Done.")]
    )
    model = chat_model("openai:scripted", openai_base_url=model_server.base_url)
    said = await converse(build("greeter", model=model, max_iterations=2), f"script:{script}")
    assert [result.text for result in results(said)] == [
        "Hello, Ada.",
        "The tool greet was stopped: it took longer than 0.05 seconds.",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (GREETER.replace('name="greeter"', 'name="writer"'), "an agent writer, but there is one"),
        (GREETER.replace('name="greet"', 'name="calculator"'), "a tool calculator, but there is one"),
        (GREETER.replace('"calculator")', '"abacus")'), "asks for abacus, which is no tool"),
        ("import no_such_module", "The module greeter can't be imported: No module named 'no_such_module'"),
        ("AGENT = 1", "has no agent in AGENTS and no tool in TOOLS"),
    ],
    ids=["agent", "tool", "unknown tool", "import", "empty"],
)
def test_a_module_that_is_wrong_is_refused_whole_and_says_why(new_module: NewModule, text: str, why: str) -> None:
    new_module("greeter", text)
    agents, tools = dict(AGENTS), dict(TOOLS)
    with pytest.raises(BadModule, match=why):
        extend(["greeter"])
    assert (agents, tools) == (AGENTS, TOOLS)
