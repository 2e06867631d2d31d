"""What is taken out: runs in a fixed order, and the end of the log that they are taken from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Model, QuerySet

from chat import readings
from chat.models import ChatSession, Event, Run
from chat.transcripts.form import About

# Of one export in the admin; the command has no bound.
MOST_RUNS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`runs` are ids of runs as hexadecimal digits, a session's together and in its order. Nothing after the event with the primary
    key `last_event` is part of it. Without a `reader` everything may be read.
    """

    runs: Sequence[str]
    last_event: int
    reader: Any
    about: About

    def sessions(self) -> QuerySet[ChatSession]:
        """The sessions that may be read now."""
        return ChatSession.objects.all() if self.reader is None else readings.readable_by(self.reader)


def runs_of(rows: QuerySet[Any]) -> QuerySet[Run]:
    """The runs that a list of sessions, runs or events is about: whole, and in the order of an export."""
    return ordered(Run.objects.filter(**{_FIELD[rows.model] + "__in": rows.order_by().values(_KEY[rows.model])}))


def ordered(runs: QuerySet[Run]) -> QuerySet[Run]:
    return runs.order_by("session_id", "seq")


def ids_of(runs: QuerySet[Run]) -> list[str]:
    return [pk.hex for pk in runs.values_list("pk", flat=True).iterator(chunk_size=5000)]


def last_event() -> int:
    """The primary key of the last event of all that are recorded."""
    return Event.objects.aggregate(last=Max("pk"))["last"] or 0


_FIELD: dict[type[Model], str] = {ChatSession: "session", Run: "pk", Event: "pk"}
_KEY: dict[type[Model], str] = {ChatSession: "pk", Run: "pk", Event: "run"}
