"""The one place that reads LangChain's stream: a pure mapper from its parts to our steps and deltas, and the loop that
feeds it.

What the mapper relies on (langchain 1.4, langgraph 1.2, `version="v2"`):
- only node `model` in the outermost namespace is the agent; summaries and models inside tools stream under other names;
- a chunk's tool calls are fragments, the final arguments stand in `updates`, which also comes before any of its tools
starts;
- a retried or fallen-back model call has a new message id under the same checkpoint namespace, and its old text never
ends;
- every tool call is a task of its own, so that each result comes as soon as it is there.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langgraph.graph.state import CompiledStateGraph

from agents.context import RunContext
from agents.steps import Delta, Discard, Said, Step, StepType, Usage
from agents.text import clean

MODES = ["messages", "updates", "custom", "tools"]
MODEL_NODE = "model"
TOOLS_NODE = "tools"
NAME_LENGTH = 128


class IterationLimit(Exception):
    """The agent asked its model as often as it may and has no answer yet."""


class BadToolCall(Exception):
    """The model asked for a tool in a way that can't be read."""


class Mapper:
    """Turns the parts of one attempt at a run into what the agent says, in order. Pure: `now` is given, in seconds.

    `iteration` is that of the last model call, `model` the name that the provider gave for the model that answered, if any.
    `next_step` is the number of the first step; later attempts at a run begin after the steps that are recorded, and
    `replayed` is the model's message that such an attempt is handed back: it is recorded already.
    """

    def __init__(self, *, next_step: int = 1, iterations: int = 0, replayed: AIMessage | None = None) -> None:
        self._next_step = next_step
        self._replayed_id = None if replayed is None else replayed.id
        self.iteration = iterations
        self._call = 0
        self._namespace = ""
        self._message_id: str | None = None
        self._segments: list[StepType] = []
        self._called_at = 0.0
        self.model = ""
        self._tools: dict[str, tuple[str, int]] = {}
        self._tool_started_at: dict[str, float] = {}
        for call in [] if replayed is None else replayed.tool_calls:
            self._tools[_name(call["id"])] = (_name(call["name"]), iterations)

    def feed(self, part: dict[str, Any], now: float) -> list[Said]:
        """What the part says; most parts say nothing or one thing."""
        if part["ns"]:
            return []
        match part["type"]:
            case "messages":
                message, metadata = part["data"]
                if isinstance(message, AIMessageChunk) and metadata.get("langgraph_node") == MODEL_NODE:
                    return self._chunk(message, str(metadata.get("langgraph_checkpoint_ns", "")), now)
            case "updates":
                said: list[Said] = []
                for node, update in part["data"].items():
                    for message in _messages(update):
                        if node == MODEL_NODE and isinstance(message, AIMessage):
                            said += self._model_message(message, now)
                        elif node == TOOLS_NODE and isinstance(message, ToolMessage):
                            said.append(self._tool_message(message, now))
                return said
            case "tools":
                if part["data"].get("event") == "tool-started":
                    self._tool_started_at[_name(part["data"]["tool_call_id"])] = now
        return []

    def _chunk(self, chunk: AIMessageChunk, namespace: str, now: float) -> list[Said]:
        said: list[Said] = []
        if namespace != self._namespace:
            self._namespace = namespace
            self.iteration += 1
            self._begin_call(chunk.id, now)
        elif chunk.id != self._message_id:
            had_written = bool(self._segments)
            self._begin_call(chunk.id, now)
            if had_written:
                said.append(Discard(step=self._next_step, call=self._call, iteration=self.iteration))
        for kind, text in _pieces(chunk):
            if not self._segments or self._segments[-1] != kind:
                self._segments.append(kind)
            number = self._next_step + len(self._segments) - 1
            said.append(Delta(step=number, call=self._call, type=kind, iteration=self.iteration, text=clean(text)))
        return said

    def _begin_call(self, message_id: str | None, now: float) -> None:
        self._call += 1
        self._message_id = message_id
        self._segments = []
        self._called_at = now

    def _model_message(self, message: AIMessage, now: float) -> list[Said]:
        if message.id is not None and message.id == self._replayed_id:
            return []
        if not self._namespace:
            # A model that does not stream, or that streamed nothing, still ends its call with an update.
            self.iteration += 1
            self._called_at = now
        if message.invalid_tool_calls and not message.tool_calls:
            raise BadToolCall(message.invalid_tool_calls[0].get("name") or "?")
        segments = _merged(_pieces(message))
        texts = [index for index, (kind, _) in enumerate(segments) if kind is StepType.FINAL_ANSWER]
        answer = texts[-1] if texts and not message.tool_calls else None
        steps: list[dict[str, Any]] = []
        for index, (kind, text) in enumerate(segments):
            if index == answer:
                steps.append({"type": StepType.FINAL_ANSWER, "content": clean(text)})
            elif text.strip():
                reasoning = kind is StepType.THOUGHT
                steps.append({"type": StepType.THOUGHT, "content": clean(text), "reasoning": reasoning})
        if answer is None and not message.tool_calls:
            steps.append({"type": StepType.FINAL_ANSWER, "content": ""})
        elif answer is not None:
            # The answer is the last word of a run, whatever the order of the blocks.
            steps.sort(key=lambda step: step["type"] is StepType.FINAL_ANSWER)
        for call in message.tool_calls:
            name, call_id, arguments = _name(call["name"]), _name(call["id"]), _cleaned(call["args"])
            self._tools[call_id] = (name, self.iteration)
            content = f"{name}({', '.join(f'{key}={json.dumps(value, ensure_ascii=False)}' for key, value in arguments.items())})"
            steps.append(
                {
                    "type": StepType.TOOL_USE,
                    "content": content,
                    "tool_name": name,
                    "call_id": call_id,
                    "arguments": arguments,
                }
            )
        self.model = clean(str(message.response_metadata.get("model_name") or self.model))
        # What the call cost belongs to the call as a whole; it stands on its last step.
        steps[-1] |= {"usage": _usage(message), "duration": now - self._called_at}
        self._namespace, self._message_id, self._segments = "", None, []
        return [self._step(**step) for step in steps]

    def _tool_message(self, message: ToolMessage, now: float) -> Step:
        call_id = _name(message.tool_call_id)
        name, iteration = self._tools.pop(call_id, (_name(message.name), self.iteration))
        started_at = self._tool_started_at.pop(call_id, None)
        return self._step(
            type=StepType.TOOL_RESULT,
            content=clean(message.text),
            tool_name=name,
            call_id=call_id,
            is_error=message.status == "error",
            iteration=iteration,
            duration=None if started_at is None else now - started_at,
        )

    def _step(self, **values: Any) -> Step:
        step = Step(**{"number": self._next_step, "iteration": self.iteration, **values})
        self._next_step += 1
        return step


def _messages(update: Any) -> Sequence[Any]:
    messages = update.get("messages") if isinstance(update, dict) else None
    return messages if isinstance(messages, list) else []


def _pieces(message: AIMessage) -> list[tuple[StepType, str]]:
    """The reasoning (`thought`) and the text (`final_answer`) in a message or chunk, in order."""
    content = message.content
    if isinstance(content, str) and not message.additional_kwargs:
        # The common case of a token, without building content blocks.
        return [(StepType.FINAL_ANSWER, content)] if content else []
    pieces: list[tuple[StepType, str]] = []
    for block in message.content_blocks:
        if block["type"] == "reasoning" and block.get("reasoning"):
            pieces.append((StepType.THOUGHT, str(block["reasoning"])))
        elif block["type"] == "text" and block["text"]:
            pieces.append((StepType.FINAL_ANSWER, block["text"]))
    return pieces


def _merged(pieces: list[tuple[StepType, str]]) -> list[tuple[StepType, str]]:
    merged: list[tuple[StepType, str]] = []
    for kind, text in pieces:
        if merged and merged[-1][0] is kind:
            merged[-1] = (kind, merged[-1][1] + text)
        else:
            merged.append((kind, text))
    return merged


def _cleaned(value: Any) -> Any:
    """A tool's arguments as every database's JSON takes them."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _name(text: str | None) -> str:
    """A tool's name or the id of a call, as a model may have made them up."""
    return clean(text or "")[:NAME_LENGTH]


def _usage(message: AIMessage) -> Usage | None:
    counted = message.usage_metadata
    if counted is None:
        return None
    return Usage(
        input_tokens=counted["input_tokens"],
        output_tokens=counted["output_tokens"],
        reasoning_tokens=counted.get("output_token_details", {}).get("reasoning", 0) or 0,
    )


async def stream(
    agent: CompiledStateGraph[Any, Any, Any, Any], messages: list[BaseMessage], *, context: RunContext, mapper: Mapper
) -> AsyncGenerator[list[Said], None]:
    """Run the agent on the conversation and yield what it says; what it says at once comes together, to be recorded at once.

    Close it (`contextlib.aclosing`) to end the model's stream.

    Raises `IterationLimit`, `BadToolCall`, and whatever the model's provider raises.
    """
    # "tools" works, and a test holds it so, but is missing in the type's list of modes.
    modes: Any = MODES
    parts: Any = agent.astream({"messages": messages}, context=context, stream_mode=modes, subgraphs=True, version="v2")
    try:
        async with contextlib.aclosing(parts):
            async for part in parts:
                said = mapper.feed(part, time.monotonic())
                if said:
                    yield said
    except ModelCallLimitExceededError:
        raise IterationLimit(f"{mapper.iteration} model calls brought no answer.") from None
