"""Taking transcripts in again: a file of JSON Lines, one session after the other, each whole or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, transaction

from chat import tool_counts
from chat.models import ChatSession, Event, EventType, Feedback, Run, RunState
from chat.transcripts import lines
from chat.transcripts.lines import BadFile, Line
from chat.transcripts.lossless import event_values, run_values, session_values
from chat.transcripts.parts import IMPORTED

MOST_EVENTS = 1_000_000
BATCH = 500


@dataclass(slots=True)
class Said:
    """What a file says of one session; `line` is the number of its first line."""

    line: int
    session: Line
    runs: dict[uuid.UUID, Line] = field(default_factory=dict)
    events: list[Line] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of a session: `conflict` says why it was refused, `was_there` that nothing was to be done."""

    public_id: str
    was_there: bool = False
    conflict: str = ""
    new_user: str = ""
    runs: int = 0
    events: int = 0
    stopped: int = 0
    renumbered: bool = False


@dataclass(slots=True)
class Rows:
    """The rows of one session, not in the database yet."""

    session: ChatSession
    runs: list[Run]
    events: list[Event]
    feedback: list[Feedback]
    stopped: int = 0
    renumbered: bool = False


class Conflict(Exception):
    """The session can't be taken in beside what is there; says why."""


def take_in(file: BinaryIO, *, owner: Any = None) -> Iterator[Outcome]:
    """Take in the sessions of a file, for their users by name or all for one; yields what became of each.

    Raises `BadFile`: what was yielded before is taken in, and nothing else.
    """
    for said in _sessions(file):
        yield _take_in(said, owner)


def _sessions(file: BinaryIO) -> Iterator[Said]:
    said: Said | None = None
    seen: set[str] = set()
    runs: set[uuid.UUID] = set()
    ended = False
    for number, line in lines.read(file):
        if ended:
            raise BadFile(f"Line {number}: after the end.")
        match line["line"]:
            case "session":
                if line["id"] in seen:
                    raise BadFile(f"Line {number}: session {line['id']} comes twice.")
                if said is not None and said.runs:
                    yield said
                seen.add(line["id"])
                said = Said(number, line)
            case "run":
                if said is None or line["id"] in runs:
                    raise BadFile(
                        f"Line {number}: a run {'without a session' if said is None else 'that comes twice'}."
                    )
                runs.add(line["id"])
                said.runs[line["id"]] = line
            case "event":
                if said is None or line["run"] not in said.runs:
                    raise BadFile(f"Line {number}: an event of a run that this session does not have.")
                if len(said.events) >= MOST_EVENTS:
                    raise BadFile(f"Line {number}: a session has at most {MOST_EVENTS} events here.")
                said.events.append(line)
            case "gone":
                # Deleted while it was taken out: what was written of it before has no end.
                if said is not None and line["run"] in said.runs:
                    del said.runs[line["run"]]
                    said.events = [event for event in said.events if event["run"] != line["run"]]
                runs.add(line["run"])
            case "end":
                if line["runs"] != len(runs):
                    raise BadFile(f"Line {number}: there were to be {line['runs']} runs, and there are {len(runs)}.")
                ended = True
    if not ended:
        last = f" Session {said.session['id']}, the last in it, is not taken in." if said else ""
        raise BadFile(f"The file was cut off: its last line is missing.{last}")
    if said is not None and said.runs:
        yield said


def _take_in(said: Said, owner: Any) -> Outcome:
    public_id = said.session["id"]
    try:
        with transaction.atomic():
            user, is_new = (owner, False) if owner is not None else _user(said.session["owner"])
            rows = _rows(said, user)
            outcome = Outcome(
                public_id=public_id,
                new_user=user.get_username() if is_new else "",
                runs=len(rows.runs),
                events=len(rows.events),
                stopped=rows.stopped,
                renumbered=rows.renumbered,
            )
            outcome.was_there = _is_there(rows)
            if not outcome.was_there:
                _write(rows)
    except Conflict as conflict:
        return Outcome(public_id=public_id, conflict=str(conflict))
    except (DataError, IntegrityError) as error:
        reason = str(error).splitlines()[0]
        raise BadFile(f"Line {said.line}: session {public_id} is not what the database takes: {reason}.") from error
    return outcome


def _user(name: str) -> tuple[Any, bool]:
    """The user of that name; where there is none, one who can't sign in, in whose name the sessions are kept."""
    model: Any = get_user_model()
    found = model.objects.filter(username=name).first()
    if found is not None:
        return found, False
    user = model(username=name, is_active=False)
    user.set_unusable_password()
    try:
        user.full_clean()
    except ValidationError as error:
        raise Conflict(f"no user can be made of the name {name!r}: {' '.join(error.messages)}") from None
    user.save()
    return user, True


# --- rows from lines ------------------------------------------------------------------------------------------------------


def _rows(said: Said, owner: Any) -> Rows:
    values = {name: value for name, value in said.session.items() if name not in ("line", "id", "owner")}
    session = ChatSession(public_id=said.session["id"], owner=owner, **values)
    lines_of = sorted(said.events, key=lambda line: int(line["seq"]))
    runs = {
        pk: Run(session=session, parent_id=line["parent"], **_columns(line, "line", "parent", "feedback"))
        for pk, line in said.runs.items()
    }
    events = [Event(session=session, run=runs[line["run"]], **_columns(line, "line", "run")) for line in lines_of]
    feedback = [
        Feedback(run=runs[pk], **line["feedback"]) for pk, line in said.runs.items() if line["feedback"] is not None
    ]
    rows = Rows(session, sorted(runs.values(), key=lambda run: run.seq), events, feedback)
    _check(rows, said)
    _close_gaps(rows)
    _end_unfinished(rows)
    session.head = len(rows.events)
    session.updated_at = rows.events[-1].created_at if rows.events else session.created_at
    for run in rows.runs:
        if run.parent_id not in runs:
            run.parent_id = None
    return rows


def _columns(line: Line, *left_out: str) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in left_out}


def _check(rows: Rows, said: Said) -> None:
    """What our own log holds to: else pages, and whoever goes on with the session, would stumble over it."""

    def refuse(why: str) -> None:
        raise BadFile(f"Line {said.line}: session {rows.session.public_id}: {why}.")

    messages = {event.run_id: event.seq for event in rows.events if event.type == EventType.MESSAGE}
    ends = {event.run_id: event for event in rows.events if event.type == EventType.RUN_END}
    if len({event.seq for event in rows.events}) < len(rows.events):
        refuse("two events have the same seq")
    counted = [event.type for event in rows.events if event.type in (EventType.MESSAGE, EventType.RUN_END)]
    if len(counted) != len(messages) + len(ends):
        refuse("a run has two messages, or two ends")
    seqs = {run.pk: run.seq for run in rows.runs}
    for run in rows.runs:
        end = ends.get(run.pk)
        if messages.get(run.pk) != run.seq:
            refuse(f"run {run.pk} has no message at its seq")
        if run.is_over != (run.ended_at is not None) or run.is_over != (end is not None):
            refuse(f"run {run.pk} is {run.state}, which does not go with when it ended")
        if end is not None and end.data["state"] != run.state:
            refuse(f"run {run.pk} is {run.state}, and its end says {end.data['state']}")
        if run.parent_id in seqs and seqs[run.parent_id] >= run.seq:
            refuse(f"run {run.pk} comes before the run that it follows")


def _close_gaps(rows: Rows) -> None:
    """Number the events anew where some are missing, as of a session that was taken out in part: a log has no gaps."""
    if all(event.seq == seq for seq, event in enumerate(rows.events, start=1)):
        return
    rows.renumbered = True
    for seq, event in enumerate(rows.events, start=1):
        event.seq = seq
        if event.type == EventType.MESSAGE:
            event.run.seq = seq


def _end_unfinished(rows: Rows) -> None:
    """End the runs that had not ended when they were taken out: nobody is to go on with them here. The export leaves these ends out
    again.
    """
    for run in rows.runs:
        if run.is_over:
            continue
        rows.stopped += 1
        last: datetime = rows.events[-1].created_at
        run.state = RunState.STOPPED
        run.ended_at = last
        data: dict[str, Any] = {"state": str(RunState.STOPPED), "started": run.started_at is not None, IMPORTED: True}
        if run.started_at is not None:
            data["model"] = run.model
        end = Event(
            session=rows.session,
            run=run,
            seq=len(rows.events) + 1,
            attempt=run.attempt,
            type=EventType.RUN_END,
            data=data,
            created_at=last,
        )
        rows.events.append(end)


# --- the database -----------------------------------------------------------------------------------------------------------


def _is_there(rows: Rows) -> bool:
    """Whether the session is in the database already, the same. Raises `Conflict` where something else is in its place."""
    there = ChatSession.objects.select_related("owner").filter(public_id=rows.session.public_id).first()
    if there is None:
        for number in range(0, len(rows.runs), BATCH):
            taken = Run.objects.filter(pk__in=[run.pk for run in rows.runs[number : number + BATCH]]).first()
            if taken is not None:
                raise Conflict(f"run {taken.pk} is in another session here")
        return False
    if session_values(there) != session_values(rows.session):
        raise Conflict(
            "another session with this id is here, of another user, or with another title, agent or beginning"
        )
    runs = [run_values(run) for run in there.runs.select_related("feedback").order_by("seq")]
    events = there.events.order_by("seq").iterator(chunk_size=BATCH)
    same = runs == [run_values(run) for run in rows.runs] and all(
        event_values(event) == event_values(ours) for event, ours in zip(events, rows.events, strict=False)
    )
    if not same or there.head != len(rows.events):
        raise Conflict("the session is here, and is not the same: it has gone on, or was taken out in part")
    return True


def _write(rows: Rows) -> None:
    created_at = rows.session.created_at
    rows.session.save()
    # Django sets it itself when a row is made.
    ChatSession.objects.filter(pk=rows.session.pk).update(created_at=created_at)
    for run in rows.runs:
        run.session = rows.session
    for event in rows.events:
        event.session = rows.session
    Run.objects.bulk_create(rows.runs, batch_size=BATCH)
    Event.objects.bulk_create(rows.events, batch_size=BATCH)
    Feedback.objects.bulk_create(rows.feedback, batch_size=BATCH)
    tool_counts.rebuild([run.pk for run in rows.runs], errors_are_known=True)
