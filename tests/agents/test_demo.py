"""The demo model, driven through the real agents: it thinks, calls its tools and answers from what came back."""

from __future__ import annotations

import time
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage

from agents.context import Excerpt
from agents.demo import DemoChatModel
from agents.demo_rules import reply
from agents.registry import build
from agents.tools import TOOLS
from tests.agents.conversation import answers, blocks, converse, results

ALL = [tool.load() for tool in TOOLS.values()]
DEMO = DemoChatModel(delay=0)


async def solar(query: str, limit: int) -> list[Excerpt]:
    found = Excerpt(session_id="s", title="Roof", when="2026-03-01T09:00:00+00:00", text="Solar panels cost 300 each.")
    return [found] if "solar" in query.lower() else []


async def said_by(name: str, question: str, history: list[BaseMessage] | None = None) -> list[BaseMessage]:
    return await converse(build(name, model=DEMO, max_iterations=3), question, history=history or [], search=solar)


def calls(said: list[BaseMessage]) -> list[tuple[str, dict[str, str]]]:
    return [(call["name"], call["args"]) for message in answers(said) for call in message.tool_calls]


@pytest.mark.parametrize(
    ("question", "expected", "in_the_answer"),
    [
        ("What is 12 * 7?", [("calculator", {"expression": "12 * 7"})], "`12 * 7` = **84**"),
        ("What's 12.5% of 80?", [("calculator", {"expression": "(12.5 / 100) * 80"})], "**10**"),
        ("square root of 144 plus 1,000", [("calculator", {"expression": "sqrt(144) + 1000"})], "**1012**"),
        ("what is 2 to the power of 10", [("calculator", {"expression": "2 ** 10"})], "**1024**"),
        (
            "What is 9**9**9?",
            [("calculator", {"expression": "9 ** 9 ** 9"})],
            "did not work:** The numbers get too large",
        ),
        (
            "The square root of 1,764, divided by 7",
            [("calculator", {"expression": "sqrt(1764) / 7"})],
            "`sqrt(1764) / 7` = **6**",
        ),
        ("What time is it in Tokyo?", [("current_time", {"timezone": "Asia/Tokyo"})], "in Asia/Tokyo"),
        ("what's the time in san francisco", [("current_time", {"timezone": "America/Los_Angeles"})], "Los_Angeles"),
        ("What day is it today?", [("current_time", {"timezone": "UTC"})], "in UTC"),
        (
            "What time is it in Atlantis?",
            [("current_time", {"timezone": "Atlantis"})],
            "There is no time zone “Atlantis”",
        ),
        ("Search for solar panels", [("search_sessions", {"query": "solar panels"})], "Solar panels cost 300 each."),
        (
            "What did we say about unicorns?",
            [("search_sessions", {"query": "unicorns"})],
            "Nothing in the earlier sessions",
        ),
        ("Read http://127.0.0.1/x.", [("fetch_url", {"url": "http://127.0.0.1/x"})], "not on the public internet"),
    ],
)
async def test_a_question_with_a_rule_calls_its_tool_and_answers_from_the_result(
    question: str, expected: list[tuple[str, dict[str, str]]], in_the_answer: str
) -> None:
    said = await said_by("assistant", question)
    assert calls(said) == expected
    assert in_the_answer in answers(said)[-1].text
    assert "demo model" in answers(said)[-1].text
    assert len(answers(said)) == 2


async def test_several_things_at_once_are_several_tools_at_once() -> None:
    said = await said_by("assistant", "What is 3*4, and what time is it in Berlin and in Tokyo?")
    assert [name for name, _ in calls(said)] == ["calculator", "current_time", "current_time"]
    assert len(answers(said)[0].tool_calls) == 3, "in one go"
    answer = answers(said)[-1].text
    assert "**12**" in answer
    assert "Europe/Berlin" in answer
    assert "Asia/Tokyo" in answer


@pytest.mark.parametrize(
    "question", ["hi", "", "Write a poem about 2 cats", "many times", "?" * 5000, "e", "-5", "2026-03-01"]
)
async def test_without_a_rule_it_says_what_it_can_do(question: str) -> None:
    said = await said_by("assistant", question)
    assert len(said) == 1
    answer = answers(said)[0]
    assert "demo model" in answer.text
    assert "calculate" in answer.text
    assert len(answer.text) < 1500


async def test_it_calls_no_tool_that_the_agent_does_not_have() -> None:
    said = await said_by("writer", "What is 12 * 7?")
    assert calls(said) == []
    assert "`calculator`, which this agent does not have" in answers(said)[0].text
    assert "calculate" not in answers(await said_by("writer", "hi"))[0].text


async def test_bound_without_tools_it_calls_none() -> None:
    for model in (DEMO, DEMO.bind_tools([]), DEMO.bind_tools(ALL, tool_choice="none")):
        answer = await model.ainvoke("What is 12 * 7?")
        assert answer.tool_calls == []


async def test_it_looks_back_at_the_conversation() -> None:
    history: list[BaseMessage] = [
        HumanMessage("What is 1+1?"),
        AIMessage("2"),
        HumanMessage("And 2+2?"),
        AIMessage("4"),
    ]
    said = await said_by("assistant", "What did I ask before?", history)
    assert calls(said) == []
    assert "1. `What is 1+1?`\n2. `And 2+2?`" in answers(said)[0].text


async def test_results_of_earlier_questions_are_not_answered_again() -> None:
    first = await said_by("assistant", "What is 3*4?")
    history = [HumanMessage("What is 3*4?"), *first]
    said = await said_by("assistant", "What is 5*6?", history)
    assert calls(said) == [("calculator", {"expression": "5 * 6"})]
    assert "**30**" in answers(said)[-1].text
    assert "12" not in answers(said)[-1].text


async def test_it_streams_reasoning_then_text_then_the_call_and_usage_last() -> None:
    model = DEMO.bind_tools(ALL)
    chunks = [chunk async for chunk in model.astream("What is 12 * 7?")]
    kinds = [block["type"] for chunk in chunks for block in chunk.content_blocks]
    assert kinds == sorted(kinds, key=["reasoning", "text", "tool_call_chunk"].index)
    assert kinds.count("reasoning") > 10
    assert kinds.count("text") > 5
    assert kinds.count("tool_call_chunk") > 2
    assert len({chunk.id for chunk in chunks}) == 1
    assert isinstance(chunks[-1], AIMessageChunk)
    assert chunks[-1].chunk_position == "last"
    assert [bool(chunk.usage_metadata) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    usage = chunks[-1].usage_metadata
    assert usage
    assert usage["output_tokens"] > usage["output_token_details"]["reasoning"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_all_at_once_it_says_the_same() -> None:
    whole = DEMO.bind_tools(ALL).invoke("What is 12 * 7?")
    said = reply([HumanMessage("What is 12 * 7?")], set(TOOLS))
    assert blocks([AIMessageChunk(**whole.model_dump(exclude={"type"}))], "reasoning") == [said.reasoning]
    assert whole.text == said.text
    assert [call["args"] for call in whole.tool_calls] == [{"expression": "12 * 7"}]


async def test_what_it_streams_is_what_it_says() -> None:
    chunks = [chunk async for chunk in DEMO.astream("hi  there\n")]
    said = reply([HumanMessage("hi  there\n")], set())
    assert "".join(blocks(chunks, "reasoning")) == said.reasoning
    assert "".join(blocks(chunks, "text")) == said.text


async def test_the_delay_is_kept_between_pieces() -> None:
    began = time.perf_counter()
    chunks = [chunk async for chunk in DemoChatModel(delay=0.002).astream("hi")]
    assert time.perf_counter() - began >= 0.002 * (len(chunks) - 1)


@pytest.mark.parametrize(
    ("question", "called", "left_out"),
    [
        (
            "What time is it in Berlin, London, and Atlantis?",
            ["Europe/Berlin", "Europe/London"],
            "I leave out `Atlantis` (a place that I do not know).",
        ),
        (
            "What time is it in Paris or in Xanadu and El Dorado?",
            ["Europe/Paris"],
            "`Xanadu` (a place that I do not know)",
        ),
        ("What is 12 * 2 plus half of 6?", ["12 * 2"], "`plus` (which I cannot read as part of a calculation)"),
        (
            "1+1, 1+2, 1+3, 1+4, 1+5, 1+6 and 1+7",
            [f"1 + {number}" for number in range(1, 7)],
            "the value of `1 + 7` (I ask for 6 things at once at most)",
        ),
    ],
)
async def test_what_it_leaves_out_it_says(question: str, called: list[str], left_out: str) -> None:
    said = await said_by("assistant", question)
    assert [argument for _, arguments in calls(said) for argument in arguments.values()] == called
    for message in answers(said):
        assert left_out in message.text


async def test_what_the_agent_has_no_tool_for_is_left_out_aloud() -> None:
    said = await said_by("writer", "What is 3*4, and what time is it in Europe/Berlin?")
    assert calls(said) == [("current_time", {"timezone": "Europe/Berlin"})]
    for message in answers(said):
        assert "I leave out the value of `3 * 4` (this agent has no `calculator`)." in message.text


async def test_nothing_is_left_out_of_what_is_understood() -> None:
    for question in ("What is 12 * 7?", "What time is it in New York City, London and Europe/Berlin?", "1+1 and 2+2"):
        for message in answers(await said_by("assistant", question)):
            assert "leave out" not in message.text


@pytest.mark.parametrize(
    ("question", "came_back"),
    [
        ("What is 2*2?", "1 result came back. What was asked"),
        ("What is 1/0?", "1 result came back. It is an error."),
        ("What is 1/0, and 2*2?", "2 results came back, one of them an error."),
        ("What is 1/0, 2/0, and 2*2?", "3 results came back, 2 of them errors."),
        ("What is 1/0, and 2/0?", "2 results came back, all of them errors."),
    ],
)
async def test_it_thinks_of_what_came_back(question: str, came_back: str) -> None:
    last = answers(await said_by("assistant", question))[-1]
    assert came_back in blocks([AIMessageChunk(**last.model_dump(exclude={"type"}))], "reasoning")[0]


def test_the_question_is_quoted_and_not_read_as_markdown() -> None:
    for question in ("What is 9**9**9?", "Write **nothing**"):
        said = reply([HumanMessage(question)], set(TOOLS))
        assert f"`{question}`" in said.reasoning
    odd = reply([HumanMessage("`a`` * b")], set()).reasoning
    assert "``` `a`` * b ```" in odd
    history = [HumanMessage("**1**"), AIMessage("1"), HumanMessage("What did I ask before?")]
    assert "1. `**1**`" in reply(history, set(TOOLS)).text


def test_a_result_is_quoted_and_not_read_as_markdown() -> None:
    def answer(tool: str, content: str, status: Literal["success", "error"] = "success") -> str:
        call = {"name": tool, "args": {}, "id": "c"}
        result = ToolMessage(content, name=tool, tool_call_id="c", status=status)
        return reply([HumanMessage("?"), AIMessage("", tool_calls=[call]), result], set(TOOLS)).text

    assert "1. “T” (2026-03-01): \\*\\*b\\*\\* \\_i\\_ snake_case" in answer(
        "search_sessions", "1. “T” (2026-03-01): **b** _i_ snake_case"
    )
    assert "> \\[x\\](y) \\`z\\`" in answer("fetch_url", "From y\n[x](y) `z`")
    assert "\\<b\\>" in answer("calculator", "<b>", "error")


@given(
    st.text(max_size=300) | st.lists(st.sampled_from([*"0123456789.+-*/%()^,! ", "sqrt", "plus", "time"])).map("".join)
)
@settings(max_examples=200, deadline=None)
def test_it_has_an_answer_to_everything(question: str) -> None:
    began = time.perf_counter()
    said = reply([HumanMessage(question)], set(TOOLS))
    assert said.text
    assert said.reasoning
    assert len(said.calls) <= 6
    assert time.perf_counter() - began < 1


async def test_tool_results_are_of_the_calls_that_were_made() -> None:
    said = await said_by("assistant", "1+1 and 2+2")
    assert [result.text for result in results(said)] == ["2", "4"]
