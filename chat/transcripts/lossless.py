"""JSON Lines: everything, one JSON object a line. What `chat.transcripts.taking_in` reads again."""

from __future__ import annotations

from typing import Any, Final

from chat.models import ChatSession, Event, Feedback, Run
from chat.transcripts.form import About, Form, canonical, dollars, feedback_of, json_line, moment

FORMAT: Final = "glassbox-transcripts"
VERSION: Final = 1


class Lossless(Form):
    """The first line names format and version, the last says how many runs there were: without it the file was cut off."""

    name = "jsonl"
    title = "JSON Lines"
    explained = "Everything, for programs, and to be taken in again by importtranscripts. Nothing is lost."
    suffix = ".jsonl"
    content_type = "application/jsonl; charset=utf-8"

    def head(self, about: About) -> str:
        return json_line({"line": "head", "format": FORMAT, "version": VERSION})

    def session(self, session: ChatSession) -> str:
        return json_line({"line": "session"} | session_values(session))

    def run(self, run: Run) -> str:
        return json_line({"line": "run"} | run_values(run))

    def event(self, event: Event, run: Run) -> str:
        return json_line({"line": "event"} | event_values(event))

    def gone(self, run_id: str, *, midway: bool) -> str:
        return json_line({"line": "gone", "run": run_id})

    def foot(self, about: About) -> str:
        return json_line({"line": "end", "runs": about.runs})


def session_values(session: ChatSession) -> dict[str, Any]:
    """What the log has not: `head` and `updated_at` follow from the events, an epoch is for one installation."""
    return {
        "id": session.public_id,
        "owner": session.owner.get_username(),
        "title": session.title,
        "agent": session.agent,
        "is_private": session.is_private,
        "created_at": moment(session.created_at),
    }


def run_values(run: Run) -> dict[str, Any]:
    feedback = feedback_of(run)
    return {
        "id": str(run.pk),
        "parent": None if run.parent_id is None else str(run.parent_id),
        "client_id": run.client_id,
        "seq": run.seq,
        "message": run.message,
        "agent": run.agent,
        "model": run.model,
        "enable_reasoning": run.enable_reasoning,
        "state": str(run.state),
        "attempt": run.attempt,
        "losses": run.losses,
        "worker": run.worker,
        "stop_asked_at": moment(run.stop_asked_at),
        "stop_asked_by_operator": run.stop_asked_by_operator,
        "error_code": run.error_code,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "reasoning_tokens": run.reasoning_tokens,
        "cost": dollars(run.cost),
        "tool_errors": run.tool_errors,
        "first_token_seconds": run.first_token_seconds,
        "created_at": moment(run.created_at),
        "started_at": moment(run.started_at),
        "ended_at": moment(run.ended_at),
        "feedback": None if feedback is None else feedback_values(feedback),
    }


def feedback_values(feedback: Feedback) -> dict[str, Any]:
    return {
        "thumb": feedback.thumb,
        "comment": feedback.comment,
        "created_at": moment(feedback.created_at),
        "updated_at": moment(feedback.updated_at),
    }


def event_values(event: Event) -> dict[str, Any]:
    return {
        "run": str(event.run_id),
        "seq": event.seq,
        "attempt": event.attempt,
        "type": str(event.type),
        "step": event.step,
        "step_type": str(event.step_type),
        "iteration": event.iteration,
        "tool_name": event.tool_name,
        "call_id": event.call_id,
        "parent_step": event.parent_step,
        "content": event.content,
        "data": canonical(event.data),
        "duration": event.duration,
        "input_tokens": event.input_tokens,
        "output_tokens": event.output_tokens,
        "cost": dollars(event.cost),
        "created_at": moment(event.created_at),
    }
