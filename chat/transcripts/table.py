"""CSV: one row for each step, for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from chat.models import Event, EventType, Run
from chat.transcripts.form import GONE, About, Form, canonical, dollars, feedback_of, json_line, moment

COLUMNS: Final = (
    "session",
    "user",
    "session_agent",
    "title",
    "run",
    "agent",
    "model",
    "run_state",
    "message",
    "seq",
    "attempt",
    "step",
    "type",
    "iteration",
    "tool",
    "call_id",
    "content",
    "arguments",
    "is_error",
    "code",
    "duration_seconds",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "created_at",
    "thumb",
    "comment",
)
# What makes a spreadsheet take a cell for a formula, the wide forms of East Asian keyboards included.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Excel takes a file for UTF-8 only by this mark; everybody else's programs skip it.
_BYTE_ORDER_MARK: Final = "\ufeff"


class Table(Form):
    name = "csv"
    title = "CSV"
    explained = (
        "One row for each step, for spreadsheets. No cell is a formula: what would be one begins with an apostrophe."
    )
    suffix = ".csv"
    content_type = "text/csv; charset=utf-8"

    def head(self, about: About) -> str:
        return _BYTE_ORDER_MARK + row(COLUMNS)

    def event(self, event: Event, run: Run) -> str:
        if event.type != EventType.STEP:
            return ""
        session, feedback = run.session, feedback_of(run)
        arguments = event.data.get("arguments")
        return row(
            (
                session.public_id,
                session.owner.get_username(),
                session.agent,
                session.title,
                str(run.pk),
                run.agent,
                run.model,
                str(run.state),
                run.message,
                event.seq,
                event.attempt,
                event.step,
                str(event.step_type),
                event.iteration,
                event.tool_name,
                event.call_id,
                event.content,
                json_line(canonical(arguments)).strip() if arguments else "",
                "yes" if event.data.get("is_error") else "",
                event.data.get("code", ""),
                event.duration,
                event.input_tokens,
                event.output_tokens,
                dollars(event.cost),
                moment(event.created_at),
                "" if feedback is None else feedback.get_thumb_display(),
                "" if feedback is None else feedback.comment,
            )
        )

    def gone(self, run_id: str, *, midway: bool) -> str:
        found = {"run": run_id, "type": "left_out", "content": GONE}
        return row(tuple(found.get(name, "") for name in COLUMNS))


def row(cells: Sequence[Any]) -> str:
    """All cells in quotation marks: text with a line end or a separator, whichever a reader takes, stays in its cell."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow([_safe(cell) for cell in cells])
    return text.getvalue()


def _safe(cell: Any) -> str:
    if cell is None:
        return ""
    # Programs written in C end a text at a NUL.
    text = str(cell).replace("\0", "\ufffd")
    return f"'{text}" if text.startswith(_FORMULA) else text
