"""What a format is: pure functions from sessions, runs and events to pieces of text, in the order of the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from agents.steps import Turn
from chat.models import ChatSession, Event, Feedback, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a file says about itself: how many runs were selected, by what, and when."""

    runs: int
    described: str = ""
    at: datetime | None = None


class Form:
    """A format. Each piece depends on what it is given alone, so that a file can be gone on with after any of them.

    The order is `head`, then for each session `session` and for each of its runs `run`, `event`s and `run_end`; then `foot`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    explained: ClassVar[str]
    suffix: ClassVar[str]
    content_type: ClassVar[str]

    def head(self, about: About) -> str:
        return ""

    def session(self, session: ChatSession) -> str:
        return ""

    def run(self, run: Run) -> str:
        return ""

    def event(self, event: Event, run: Run) -> str:
        return ""

    def run_end(self, run: Run) -> str:
        return ""

    def gone(self, run_id: str, *, midway: bool) -> str:
        """In place of a run that was deleted, or may not be read any more; `midway` where some of it has been written."""
        return ""

    def foot(self, about: About) -> str:
        return ""


class Dataset(Form):
    """A format with one piece for each run, made from it and the turns before it; runs that have no answer are left out."""

    def example(self, run: Run, before: Sequence[Turn], turn: Turn) -> str:
        raise NotImplementedError  # each data set has its own


GONE = "This run was deleted, or may not be read any more."

# Of JSON's strings they are plain characters, but many a reader takes them for the end of a line.
_LINE_ENDS = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"})


def json_line(value: Any) -> str:
    """One line of JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_LINE_ENDS) + "\n"


def canonical(value: Any) -> Any:
    """The same JSON, written the same on every database: PostgreSQL's sorts keys its own way, writes a large number out and has no
    negative zero.
    """
    match value:
        case float() if value == 0:
            return 0.0
        case float() if "e+" in repr(value):
            return int(Decimal(repr(value)))
        case list():
            return [canonical(item) for item in value]
        case dict():
            return {key: canonical(value[key]) for key in sorted(value)}
    return value


def moment(when: datetime | None) -> str | None:
    """To the microsecond, in UTC."""
    return None if when is None else when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def dollars(cost: Decimal | None) -> str | None:
    return None if cost is None else f"{cost:f}"


def feedback_of(run: Run) -> Feedback | None:
    """What its user thinks of the answer, if anything; read together with the run."""
    found: Feedback | None = getattr(run, "feedback", None)
    return found
