"""The words and signs of the readable formats: those of the page."""

from __future__ import annotations

import json
from typing import Final

from agents.steps import StepType
from chat.models import Event, Run
from chat.transcripts.form import canonical, feedback_of, moment

STEPS: Final = {
    StepType.THOUGHT: ("💭", "Thought"),
    StepType.TOOL_USE: ("🔧", "Tool use"),
    StepType.TOOL_RESULT: ("📊", "Tool result"),
    StepType.FINAL_ANSWER: ("✅", "Final answer"),
    StepType.ERROR: ("⚠️", "Error"),
}


def icon_and_word(event: Event) -> tuple[str, str]:
    icon, word = STEPS[StepType(event.step_type)]
    if event.data.get("is_error") and event.step_type != StepType.ERROR:
        word += ", failed"
    if event.data.get("is_partial"):
        word += ", unfinished"
    return icon, word


def body(event: Event) -> str:
    """What a step says; of the use of a tool, its arguments."""
    arguments = event.data.get("arguments")
    if event.step_type == StepType.TOOL_USE and arguments:
        return json.dumps(canonical(arguments), ensure_ascii=False, indent=2)
    return event.content


def step_facts(event: Event) -> list[str]:
    facts = [f"iteration {event.iteration}"] if event.iteration else []
    if event.duration is not None:
        facts.append(f"{event.duration:.3g} s")
    if event.input_tokens is not None:
        facts.append(f"{event.input_tokens} tokens in, {event.output_tokens} out")
    if event.cost is not None:
        facts.append(f"${event.cost:f}")
    return [*facts, moment(event.created_at) or ""]


def run_facts(run: Run) -> list[str]:
    facts = [run.agent, *([run.model] if run.model else []), run.get_state_display()]
    if run.error_code:
        facts.append(run.error_code)
    if run.started_at and run.ended_at:
        facts.append(f"{(run.ended_at - run.started_at).total_seconds():.3g} s")
    if run.input_tokens or run.output_tokens:
        facts.append(f"{run.input_tokens} tokens in, {run.output_tokens} out")
    if run.cost is not None:
        facts.append(f"${run.cost:f}")
    return facts


def feedback_line(run: Run) -> tuple[str, str] | None:
    """The thumb in words, and the comment."""
    feedback = feedback_of(run)
    return None if feedback is None else (feedback.get_thumb_display(), feedback.comment)
