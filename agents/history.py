"""The conversation that a model sees, rebuilt from what is recorded: our rows are the memory, LangChain keeps none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agents.steps import Step, StepType, Turn


def messages(turns: Sequence[Turn], *, ask: str) -> list[BaseMessage]:
    """The conversation of earlier turns, followed by the new message.

    Reasoning is not sent back, nor a tool call without a result: providers refuse a conversation that holds one.
    """
    conversation: list[BaseMessage] = []
    for turn in turns:
        conversation.append(HumanMessage(turn.message))
        for _, steps in groupby(turn.steps, key=lambda step: step.iteration):
            conversation += _iteration(list(steps))
    conversation.append(HumanMessage(ask))
    return conversation


def resumed(steps: Sequence[Step]) -> tuple[list[BaseMessage], AIMessage | None]:
    """What a run that broke off has said so far, to follow its question, and the message that still has unanswered calls.

    That message is handed to the agent in place of its next model call (`agents.replay`), so that only those tools run.
    """
    conversation: list[BaseMessage] = []
    unanswered = None
    for iteration, group in groupby(steps, key=lambda step: step.iteration):
        said = list(group)
        messages = _iteration(said, with_unanswered=True)
        if messages and isinstance(messages[0], AIMessage):
            messages[0].id = f"replayed-{iteration}"
            if len(messages[0].tool_calls) > len(messages) - 1:
                unanswered = messages[0]
        conversation += messages
    return conversation, unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A message that a model was given, for people: `role` is system, user, assistant or tool."""

    role: str
    text: str


def given(turns: Sequence[Turn], *, ask: str, steps: Sequence[Step]) -> list[Given]:
    """What a run's model is given by and by: the conversation before it, the new message, and what it has said since."""
    so_far, _ = resumed(steps)
    return [_given(message) for message in [*messages(turns, ask=ask), *so_far]]


def _given(message: BaseMessage) -> Given:
    text = message.content if isinstance(message.content, str) else json.dumps(message.content, ensure_ascii=False)
    match message:
        case AIMessage():
            calls = [
                f"→ {call['name']} {json.dumps(call['args'], ensure_ascii=False)} [{call['id']}]"
                for call in message.tool_calls
            ]
            return Given(role="assistant", text="\n".join(part for part in [text, *calls] if part))
        case ToolMessage():
            failed = " failed" if message.status == "error" else ""
            return Given(role="tool", text=f"{message.name} [{message.tool_call_id}]{failed}\n{text}")
        case _:
            return Given(role="user", text=text)


def _iteration(steps: list[Step], *, with_unanswered: bool = False) -> list[BaseMessage]:
    results = {step.call_id: step for step in steps if step.type is StepType.TOOL_RESULT}
    uses = [step for step in steps if step.type is StepType.TOOL_USE]
    answered = [step for step in uses if step.call_id in results]
    calls = uses if with_unanswered else answered
    said = (step for step in steps if step.type in (StepType.THOUGHT, StepType.FINAL_ANSWER) and not step.reasoning)
    text = "\n\n".join(step.content for step in said if step.content)
    if not text and not calls:
        return []
    asked = [
        {"name": step.tool_name, "args": step.arguments, "id": step.call_id, "type": "tool_call"} for step in calls
    ]
    answers = [
        ToolMessage(
            results[step.call_id].content,
            tool_call_id=step.call_id,
            name=step.tool_name,
            status="error" if results[step.call_id].is_error else "success",
        )
        for step in answered
    ]
    return [AIMessage(text, tool_calls=asked), *answers]
