"""A file part by part: each is made from the selection and the log when it is asked for, and is the same as often as it is.

A part begins at a cursor and ends where it has grown enough. Memory holds one part and a slice of the log, however long the file.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, Self

from django.db.models import QuerySet

from agents.steps import StepType, Turn
from chat import events, runs
from chat.models import ChatSession, Event, EventType, Run, RunState
from chat.transcripts.form import Dataset, Form
from chat.transcripts.selection import Selection

# Characters after which a part ends: it is longer by one piece at most. And runs, since an empty one costs time, too.
PART_SIZE = 512 * 1024
PART_RUNS = 200
# Read at once: runs, and their events.
WINDOW = 20
SLICE = 200
# Stands in the data of an end that the site did not write when the run ended, but when it was taken in unfinished.
IMPORTED = "imported"


class Cursor(NamedTuple):
    """A place in a file: before the run of this number, or in it, after the event of this `seq`."""

    run: int = 0
    after: int = 0

    def __str__(self) -> str:
        return f"{self.run}.{self.after}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `ValueError`."""
        run, after = (int(digits) if digits.isascii() and digits.isdecimal() else -1 for digits in text.split("."))
        # No database takes larger ones.
        if not (0 <= run < 2**31 and 0 <= after < 2**62):
            raise ValueError(text)
        return cls(run, after)


@dataclass(slots=True)
class Part:
    """`next` is where the next part begins, None after the last. `sessions` are those that something in it is of."""

    text: list[str] = field(default_factory=list)
    size: int = 0
    begun: int = 0
    next: Cursor | None = None
    sessions: dict[int, ChatSession] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        # What is no character at all becomes what JSON writes for it.
        return "".join(self.text).encode("utf-8", "backslashreplace")

    @property
    def is_full(self) -> bool:
        return self.size >= PART_SIZE or self.begun >= PART_RUNS

    def add(self, piece: str, run: Run | None = None) -> None:
        if piece:
            self.text.append(piece)
            self.size += len(piece)
            if run is not None:
                self.sessions[run.session_id] = run.session


def parts(selection: Selection, form: Form, start: Cursor = Cursor()) -> Iterator[Part]:  # noqa: B008 - it never changes
    """All parts from a place on."""
    at: Cursor | None = start
    while at is not None:
        part = read_part(selection, form, at)
        at = part.next
        yield part


def read_part(selection: Selection, form: Form, at: Cursor) -> Part:
    """The part that begins at the cursor."""
    part = Part()
    if at == Cursor():
        part.add(form.head(selection.about))
    read = _examples if isinstance(form, Dataset) else _transcripts
    while at.run < len(selection.runs):
        at = read(part, selection, form, at)  # type: ignore[arg-type] # chosen by the form's type
        if part.is_full:
            part.next = at
            return part
    part.add(form.foot(selection.about))
    return part


# --- transcripts: event by event ---------------------------------------------------------------------------------------


def _transcripts(part: Part, selection: Selection, form: Form, at: Cursor) -> Cursor:
    """Write the runs of one window, or as much of them as one slice of the log has; return where to go on."""
    window = selection.runs[at.run : at.run + WINDOW]
    before = selection.runs[at.run - 1] if at.run else None
    found = _runs(selection, [*([before] if before else []), *window])
    rows = list(
        Event.objects.filter(run_id__in=[run.pk for hex_id, run in found.items() if hex_id in window])
        .filter(pk__lte=selection.last_event)
        .exclude(run_id=uuid.UUID(window[0]), seq__lte=at.after)
        .order_by("session_id", "run__seq", "seq")[:SLICE]
    )
    said: dict[str, list[Event]] = defaultdict(list)
    for row in rows:
        said[row.run_id.hex].append(row)
    # Of this run there may be more, and of those after it nothing is known yet.
    unfinished = rows[-1].run_id.hex if len(rows) == SLICE else None
    session_before = found[before].session_id if before in found else None
    for hex_id in window:
        run = found.get(hex_id)
        if run is None:
            part.add(form.gone(str(uuid.UUID(hex_id)), midway=at.after > 0))
        else:
            if at.after == 0:
                if run.session_id != session_before:
                    part.add(form.session(run.session), run)
                part.add(form.run(run), run)
                part.begun += 1
            for row in said[hex_id]:
                at = at._replace(after=row.seq)
                if not _is_imported_end(row):
                    part.add(form.event(row, run), run)
                    if part.is_full:
                        return at
            if hex_id == unfinished:
                return at
            part.add(form.run_end(run), run)
        session_before = run.session_id if run else None
        at = Cursor(at.run + 1)
        if part.is_full:
            return at
    return at


def _runs(selection: Selection, ids: Sequence[str]) -> dict[str, Run]:
    """Those of the runs that are there and may be read, as they were at the selection's last event."""
    rows = Run.objects.filter(pk__in=ids).select_related("session__owner", "feedback")
    sessions = set(selection.sessions().filter(pk__in={row.session_id for row in rows}).values_list("pk", flat=True))
    found = {row.pk.hex: row for row in rows if row.session_id in sessions}
    recorded = Event.objects.filter(run_id__in=[run.pk for run in found.values()], pk__lte=selection.last_event)
    ends = recorded.filter(type=EventType.RUN_END)
    ended = {row.run_id for row in ends if not _is_imported_end(row)}
    for run in found.values():
        if run.pk not in ended:
            _as_recorded(run, recorded)
    return found


def _is_imported_end(row: Event) -> bool:
    return row.type == EventType.RUN_END and bool(row.data.get(IMPORTED))


def _as_recorded(run: Run, recorded: QuerySet[Event]) -> None:
    """Make a run that had not ended what its events say that it was: its row may have gone on since."""
    rows = list(recorded.filter(run_id=run.pk).defer("content").order_by("seq"))
    rows = [row for row in rows if not _is_imported_end(row)]
    starts = [row for row in rows if row.type == EventType.RUN_START]
    costs = [row.cost for row in rows if row.cost is not None]
    run.state = RunState.RUNNING if starts else RunState.QUEUED
    run.started_at = starts[0].created_at if starts else None
    run.model = str(starts[-1].data.get("model", "")) if starts else ""
    run.attempt = max((row.attempt for row in rows), default=0)
    run.input_tokens = sum(row.input_tokens or 0 for row in rows)
    run.output_tokens = sum(row.output_tokens or 0 for row in rows)
    run.cost = sum(costs, Decimal(0)) if costs else None
    run.tool_errors = sum(row.step_type == StepType.TOOL_RESULT and bool(row.data.get("is_error")) for row in rows)
    # Of these the log has nothing.
    run.ended_at = run.stop_asked_at = run.lease_until = run.first_token_seconds = None
    run.worker = run.error_code = ""
    run.stop_asked_by_operator = False
    run.losses = run.reasoning_tokens = 0


# --- data sets: run by run ----------------------------------------------------------------------------------------------


def _examples(part: Part, selection: Selection, form: Dataset, at: Cursor) -> Cursor:
    found = _runs(selection, selection.runs[at.run : at.run + WINDOW])
    steps = defaultdict(list)
    rows = Event.objects.filter(
        run_id__in=[run.pk for run in found.values()], pk__lte=selection.last_event, type=EventType.STEP
    )
    for row in rows.order_by("seq").iterator(chunk_size=SLICE):
        steps[row.run_id].append(events.step_of(row))
    for hex_id in selection.runs[at.run : at.run + WINDOW]:
        run = found.get(hex_id)
        if run is not None:
            before = runs.turns_before(run) if run.parent_id else []
            part.add(form.example(run, before, Turn(message=run.message, steps=steps[run.pk])), run)
        part.begun += 1
        at = Cursor(at.run + 1)
        if part.is_full:
            break
    return at
