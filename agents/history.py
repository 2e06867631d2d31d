"""The conversation that a model sees, rebuilt from what is recorded: our rows are the memory, LangChain keeps none."""

from __future__ import annotations

from collections.abc import Sequence
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


def _iteration(steps: list[Step]) -> list[BaseMessage]:
    results = {step.call_id: step for step in steps if step.type is StepType.TOOL_RESULT}
    calls = [step for step in steps if step.type is StepType.TOOL_USE and step.call_id in results]
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
        for step in calls
    ]
    return [AIMessage(text, tool_calls=asked), *answers]
