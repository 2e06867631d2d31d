"""The mapper, fed by LangChain's own agent over a scripted model."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, get_args

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.types import StreamMode

from agents import history, registry
from agents.context import RunContext
from agents.failures import explain
from agents.steps import Delta, Discard, FailureCode, Said, Step, StepType, Turn, Usage
from agents.stream import MODES, BadToolCall, IterationLimit, Mapper, stream
from tests.parts.scripted_model import Call, ScriptedModel, Think

ledger: list[str] = []


@tool
async def slow(seconds: float) -> str:
    """Take a while."""
    ledger.append(f"began {seconds}")
    await asyncio.sleep(seconds)
    return f"slept {seconds}"


@tool
async def broken() -> str:
    """Fail."""
    raise RuntimeError("secret path /etc/x")


async def _no_search(query: str, limit: int) -> list[Any]:
    return []


CONTEXT = RunContext(search_sessions=_no_search)


async def say(model: ScriptedModel, *, mapper: Mapper | None = None, max_iterations: int = 20) -> list[Said]:
    registry_agent = registry.build("researcher", model=model, max_iterations=max_iterations)
    messages = history.messages([], ask="go")
    mapper = mapper or Mapper()
    async with contextlib.aclosing(stream(registry_agent, messages, context=CONTEXT, mapper=mapper)) as said:
        return [item async for items in said for item in items]


def steps(said: list[Said]) -> list[Step]:
    return [item for item in said if isinstance(item, Step)]


def shape(said: list[Said]) -> list[tuple[int, str, int]]:
    return [(step.number, step.type.value, step.iteration) for step in steps(said)]


async def test_an_answer_streams_as_the_answer_in_progress() -> None:
    """Text is told as the answer, piece by piece, and the recorded answer is their sum, with usage and duration."""
    said = await say(ScriptedModel(["Good ", "day", "."]))
    assert [item.text for item in said if isinstance(item, Delta)] == ["Good ", "day", "."]
    assert {(item.step, item.call, item.type) for item in said if isinstance(item, Delta)} == {
        (1, 1, StepType.FINAL_ANSWER)
    }
    (answer,) = steps(said)
    assert (answer.number, answer.type, answer.content, answer.iteration) == (1, StepType.FINAL_ANSWER, "Good day.", 1)
    assert answer.usage == Usage(input_tokens=10, output_tokens=3)
    assert answer.duration is not None


async def test_text_before_a_tool_call_turns_out_to_be_a_thought() -> None:
    """What was told as the answer in progress is recorded as a thought when a tool call follows."""
    said = await say(ScriptedModel(["I ", "compute.", Call("calculator", {"expression": "6*7"})], ["It is 42."]))
    assert shape(said) == [(1, "thought", 1), (2, "tool_use", 1), (3, "tool_result", 1), (4, "final_answer", 2)]
    thought, use, result, answer = steps(said)
    assert (thought.content, thought.reasoning) == ("I compute.", False)
    assert (use.tool_name, use.arguments, use.content) == (
        "calculator",
        {"expression": "6*7"},
        'calculator(expression="6*7")',
    )
    assert (result.tool_name, result.call_id, result.is_error) == ("calculator", use.call_id, False)
    assert "42" in result.content
    assert result.duration is not None
    assert answer.content == "It is 42."


async def test_reasoning_and_text_are_drafts_of_their_own() -> None:
    """A provider's reasoning becomes a thought, the text after it the answer; their drafts live side by side."""
    said = await say(ScriptedModel([Think("Hm, "), Think("yes."), "Yes", "!"]))
    assert [(item.step, item.type.value, item.text) for item in said if isinstance(item, Delta)] == [
        (1, "thought", "Hm, "),
        (1, "thought", "yes."),
        (2, "final_answer", "Yes"),
        (2, "final_answer", "!"),
    ]
    assert [(step.type.value, step.content, step.reasoning) for step in steps(said)] == [
        ("thought", "Hm, yes.", True),
        ("final_answer", "Yes!", False),
    ]


async def test_parallel_tools_come_as_they_finish() -> None:
    """Each of several tools has its use recorded before any starts, and its result as soon as it is there."""
    model = ScriptedModel([Call("slow", {"seconds": 0.15}), Call("slow", {"seconds": 0.01})], ["done"])
    agent = create_agent(model, [slow])
    ledger.clear()
    seen: list[tuple[str, str, int]] = []
    async with contextlib.aclosing(
        stream(agent, history.messages([], ask="go"), context=CONTEXT, mapper=Mapper())
    ) as said:
        async for items in said:
            seen += [(item.type.value, item.call_id, len(ledger)) for item in items if isinstance(item, Step)]
    assert seen == [
        ("tool_use", "call-1-0", 0),
        ("tool_use", "call-1-1", 0),
        ("tool_result", "call-1-1", 2),
        ("tool_result", "call-1-0", 2),
        ("final_answer", "", 2),
    ]


async def test_a_tool_error_is_a_result_and_the_run_goes_on() -> None:
    """A failing tool gives a marked result; the model answers all the same."""
    said = await say(ScriptedModel([Call("calculator", {"expression": "1/0"})], ["No."]))
    result = steps(said)[1]
    assert result.type is StepType.TOOL_RESULT
    assert result.is_error
    assert steps(said)[-1].content == "No."


async def test_a_retried_model_call_voids_what_it_had_written() -> None:
    """The text of a call that broke is discarded aloud, and the new text is of the next call under the same step."""
    model = ScriptedModel(["Half an", ConnectionError("cut")], ["A whole answer"])
    agent = create_agent(model, [], middleware=[ModelRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False)])
    async with contextlib.aclosing(
        stream(agent, history.messages([], ask="go"), context=CONTEXT, mapper=Mapper())
    ) as stream_:
        said = [item async for items in stream_ for item in items]
    assert [item for item in said if isinstance(item, Discard)] == [Discard(step=1, call=2, iteration=1)]
    assert [(item.call, item.text) for item in said if isinstance(item, Delta)] == [
        (1, "Half an"),
        (2, "A whole answer"),
    ]
    assert shape(said) == [(1, "final_answer", 1)]


async def test_the_limit_of_iterations_is_an_error_that_says_so() -> None:
    """Exactly so many model calls happen; then the run ends with a sentence, not silently."""
    model = ScriptedModel([Call("calculator", {"expression": "1+1"})])
    with pytest.raises(IterationLimit) as caught:
        await say(model, max_iterations=3)
    assert len(model.asked) == 3
    failure = explain(caught.value, run_seconds=9)
    assert failure.code is FailureCode.MAX_ITERATIONS
    assert "3 model calls" in failure.message


async def test_arguments_that_are_not_json_end_the_run_with_a_name() -> None:
    """A tool call that can't be read is named, not taken for an answer."""
    from langchain_core.messages import AIMessage

    message = AIMessage("", invalid_tool_calls=[{"name": "calculator", "args": "{", "id": "1", "error": "no"}])
    with pytest.raises(BadToolCall, match="calculator"):
        Mapper().feed({"type": "updates", "ns": (), "data": {"model": {"messages": [message]}}}, 0.0)


async def test_only_the_agents_own_model_is_heard() -> None:
    """What streams under another node, or inside a sub-graph, is not the answer."""
    from langchain_core.messages import AIMessageChunk

    chunk = AIMessageChunk(content="inner", id="x")
    mapper = Mapper()
    for namespace, node in (((), "tools"), ((), "summarize"), (("tools:1",), "model")):
        metadata = {"langgraph_node": node, "langgraph_checkpoint_ns": "a"}
        assert mapper.feed({"type": "messages", "ns": namespace, "data": (chunk, metadata)}, 0.0) == []


async def test_what_no_database_can_hold_is_replaced() -> None:
    """NUL and lone surrogates from a model or a tool do not reach the log."""
    said = await say(ScriptedModel(["a\x00b", "c\ud800"]))
    assert steps(said)[0].content == "a�bc�"
    assert [item.text for item in said if isinstance(item, Delta)] == ["a�b", "c�"]


def test_the_name_that_a_server_gives_its_model_is_made_fit() -> None:
    """It is written down with the end of the run, which must not fail."""
    message = AIMessage("42", response_metadata={"model_name": "m\x00\ud800"})
    mapper = Mapper()
    mapper.feed({"ns": (), "type": "updates", "data": {"model": {"messages": [message]}}}, 0.0)
    assert mapper.model == "m\ufffd\ufffd"


async def test_an_empty_answer_is_an_answer() -> None:
    """A model that says nothing ends its run with an empty answer, not with none."""
    assert [(step.type.value, step.content) for step in steps(await say(ScriptedModel([])))] == [("final_answer", "")]


async def test_a_later_attempt_goes_on_counting() -> None:
    """Steps and iterations of another attempt continue those that are recorded."""
    said = await say(ScriptedModel(["Go on."]), mapper=Mapper(next_step=5, iterations=2))
    assert shape(said) == [(5, "final_answer", 3)]


async def test_closing_the_stream_ends_the_models() -> None:
    """Whoever leaves the stream closes the model's too, at once."""
    closed = asyncio.Event()

    class Endless(ScriptedModel):
        async def _astream(self, *arguments: Any, **options: Any) -> Any:
            try:
                async for chunk in super()._astream(*arguments, **options):
                    yield chunk
            finally:
                closed.set()

    model: ScriptedModel = Endless(*[["a", asyncio.Event(), "never"]])  # type: ignore[call-arg] # pydantic makes the parameters
    agent = registry.build("writer", model=model, max_iterations=2)
    async with contextlib.aclosing(
        stream(agent, history.messages([], ask="go"), context=CONTEXT, mapper=Mapper())
    ) as said:
        async for _ in said:
            break
    await asyncio.wait_for(closed.wait(), 2)


def test_the_stream_modes_are_known() -> None:
    """`tools` works but is missing in LangGraph's type: should a version drop it, this says so first."""
    assert set(MODES) - {"tools"} <= set(get_args(StreamMode))


async def test_history_is_rebuilt_from_the_log() -> None:
    """The model sees earlier questions, tool calls with their results, and answers; not its reasoning, not a call cut
    off.
    """
    first = steps(
        await say(ScriptedModel([Think("hm"), "Let me", Call("calculator", {"expression": "2*3"})], ["Six."]))
    )
    cut_off = [Step(number=1, type=StepType.TOOL_USE, content="", iteration=1, tool_name="slow", call_id="z")]
    conversation = history.messages(
        [Turn(message="two times three?", steps=first), Turn(message="and?", steps=cut_off)], ask="go"
    )
    assert [(message.type, message.text) for message in conversation] == [
        ("human", "two times three?"),
        ("ai", "Let me"),
        ("tool", first[3].content),
        ("ai", "Six."),
        ("human", "and?"),
        ("human", "go"),
    ]
    asking = conversation[1]
    assert isinstance(asking, AIMessage)
    assert asking.tool_calls[0]["args"] == {"expression": "2*3"}
