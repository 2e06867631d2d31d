"""Data sets for evaluation: one JSON object a line for each answered run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agents.openai_messages import openai_messages
from agents.steps import StepType, Turn
from chat.models import Feedback, Run, RunState
from chat.transcripts.form import Dataset, canonical, dollars, feedback_of, json_line


class Messages(Dataset):
    name = "messages"
    title = "Data set: chat messages"
    explained = (
        "One conversation a line for each answered run, with what came before it and its tool calls, in the form of OpenAI's chat:"
        " for evaluations and fine-tuning."
    )
    suffix = ".messages.jsonl"
    content_type = "application/jsonl; charset=utf-8"

    def example(self, run: Run, before: Sequence[Turn], turn: Turn) -> str:
        if _answer(run, turn) is None:
            return ""
        return json_line(
            {"messages": openai_messages([_canonical(one) for one in (*before, turn)]), "metadata": _metadata(run)}
        )


class Pairs(Dataset):
    name = "pairs"
    title = "Data set: prompts and answers"
    explained = (
        "The message and the final answer of each answered run, labelled with its user's feedback: true for a thumb up, false for"
        " a thumb down, null for none."
    )
    suffix = ".pairs.jsonl"
    content_type = "application/jsonl; charset=utf-8"

    def example(self, run: Run, before: Sequence[Turn], turn: Turn) -> str:
        answer = _answer(run, turn)
        if answer is None:
            return ""
        feedback = feedback_of(run)
        label = None if feedback is None else feedback.thumb == Feedback.UP
        comment = "" if feedback is None else feedback.comment
        pair: dict[str, Any] = {"prompt": run.message, "answer": answer, "label": label, "comment": comment}
        return json_line(pair | {"metadata": _metadata(run)})


def _canonical(turn: Turn) -> Turn:
    return Turn(message=turn.message, steps=[replace(step, arguments=canonical(step.arguments)) for step in turn.steps])


def _answer(run: Run, turn: Turn) -> str | None:
    answers = [step.content for step in turn.steps if step.type is StepType.FINAL_ANSWER]
    return answers[-1] if answers and run.state == RunState.COMPLETED else None


def _metadata(run: Run) -> dict[str, str]:
    """Texts alone: OpenAI's metadata knows nothing else."""
    feedback = feedback_of(run)
    return {
        "session": run.session.public_id,
        "run": str(run.pk),
        "user": run.session.owner.get_username(),
        "agent": run.agent,
        "model": run.model,
        "input_tokens": str(run.input_tokens),
        "output_tokens": str(run.output_tokens),
        "cost_usd": dollars(run.cost) or "",
        "feedback": "" if feedback is None else feedback.get_thumb_display(),
    }
