"""The log: write to it, tell the group, read it after n. A frame with a `seq` exists only once its row is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import DecimalField, F
from django.db.models.functions import Coalesce, Now

from agents.steps import Step, StepType
from chat import frames, group, metrics, prices, tool_counts
from chat.models import ACTIVE, ChatSession, DailyUsage, Event, EventType, Run

# What the log keeps of a step in `data`.
STEP_DATA = ("arguments", "is_error", "is_partial", "reasoning", "code")


class Superseded(Exception):
    """The writer's attempt at the run is no longer the latest, or the run is over: it must stop and write nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is to be recorded; `append` gives it its `seq`."""

    type: EventType
    step: Step | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A committed event and the frames that tell of it, encoded once; `ends` is the id of the run that it ends, if it
    does.
    """

    seq: int
    texts: list[str]
    ends: str | None


def append(run: Run, facts: Sequence[Fact]) -> list[Recorded]:
    """Record facts about a run, in order. Must be called in a transaction that holds the session by `lock`."""
    session = run.session
    rows = []
    for fact in facts:
        session.head += 1
        rows.append(_row(run, fact, seq=session.head, now=now_of(session)))
    Event.objects.bulk_create(rows)
    session.updated_at = now_of(session)
    session.save(update_fields=["head", "updated_at"])
    transaction.on_commit(partial(_count, run, facts), robust=True)
    return [recorded(row) for row in rows]


def _count(run: Run, facts: Sequence[Fact]) -> None:
    """Count what was committed."""
    for fact in facts:
        match fact.type:
            case EventType.MESSAGE:
                pass
            case EventType.RUN_START:
                if run.attempt == 1 and run.started_at is not None:
                    before = run.parent.ended_at if run.parent is not None else None
                    ready = max(run.created_at, before or run.created_at)
                    metrics.run_started((run.started_at - ready).total_seconds())
                elif fact.data.get("reason") == "lost":
                    metrics.run_taken_over()
            case EventType.STEP:
                if fact.step is not None:
                    metrics.step_recorded(fact.step, model=run.model)
            case EventType.RUN_END:
                metrics.run_ended(fact.data["state"], fact.data.get("code", ""))


def recorded(row: Event) -> Recorded:
    """An event as it is sent."""
    return Recorded(row.seq, frames.of(row), str(row.run_id) if row.type == EventType.RUN_END else None)


def lock(session_id: int) -> ChatSession:
    """The session's row, locked until the transaction ends: who appends to a session's log does so one after the other."""
    return ChatSession.objects.select_for_update().annotate(now=Now()).get(pk=session_id)


def now_of(session: ChatSession) -> datetime:
    """The database's time when the session was locked: the clocks of servers and workers may differ, and have no say."""
    now: datetime = session.now  # type: ignore[attr-defined] # annotated by `lock`
    return now


def lock_run(run_id: str, *, attempt: int | None = None) -> Run:
    """The run with its session locked. Raises `Superseded` where it was deleted and, given an attempt, unless the run is active
    under it (fencing).
    """
    try:
        session = lock(Run.objects.values_list("session_id", flat=True).get(pk=run_id))
        run = Run.objects.select_for_update().get(pk=run_id)
    except (ChatSession.DoesNotExist, Run.DoesNotExist):
        raise Superseded(f"run {run_id} is deleted") from None
    run.session = session
    if attempt is not None and (run.attempt != attempt or run.state not in ACTIVE):
        raise Superseded(f"run {run_id}: attempt {attempt} is not the active one")
    return run


@transaction.atomic
def record_steps(
    run_id: str, *, attempt: int, steps: Sequence[Step], first_token_seconds: float | None = None, again: bool = False
) -> list[Recorded]:
    """Record steps of a run under way, all or none, with the time that its first token took where it is not known yet.
    Raises `Superseded`.

    `again` says that an earlier try may have been committed without our knowing: then what it wrote is returned.
    """
    run = lock_run(run_id, attempt=attempt)
    if again:
        numbers = [step.number for step in steps]
        written = Event.objects.filter(run=run, attempt=attempt, step__in=numbers).select_related("run").order_by("seq")
        if written:
            return [recorded(event) for event in written]
    if first_token_seconds is not None and run.first_token_seconds is None:
        Run.objects.filter(pk=run.pk).update(first_token_seconds=first_token_seconds)
    add_usage(run, steps)
    return append(run, [Fact(type=EventType.STEP, step=step) for step in steps])


def add_usage(run: Run, steps: Sequence[Step]) -> None:
    """Count the steps' tokens, their cost and the calls of tools on their run, and the tokens on its user's day."""
    tool_counts.add(run, steps)
    used_by = [step for step in steps if step.usage is not None]
    used = [step.usage for step in used_by if step.usage is not None]
    if used:
        tokens = {
            "input_tokens": F("input_tokens") + sum(usage.input_tokens for usage in used),
            "output_tokens": F("output_tokens") + sum(usage.output_tokens for usage in used),
        }
        reasoning = F("reasoning_tokens") + sum(usage.reasoning_tokens for usage in used)
        counted: dict[str, Any] = {**tokens, "reasoning_tokens": reasoning}
        costs = [cost for step in used_by if (cost := _cost(run, step)) is not None]
        if costs:
            counted["cost"] = Coalesce("cost", Decimal(0), output_field=DecimalField()) + sum(costs)
        Run.objects.filter(pk=run.pk).update(**counted)
        day = DailyUsage(user_id=run.session.owner_id, day=now_of(run.session).astimezone(UTC).date())
        today = DailyUsage.objects.filter(user_id=day.user_id, day=day.day)
        if not today.update(**tokens):
            # Another run of the user's may begin the day at the same time.
            DailyUsage.objects.bulk_create([day], ignore_conflicts=True)
            today.update(**tokens)


def read_after(session_id: int, after: int, *, limit: int) -> list[Event]:
    """At most `limit` events after `after`, in order, each with its run."""
    events = Event.objects.filter(session_id=session_id, seq__gt=after).select_related("run")
    return list(events.order_by("seq")[:limit])


def head_of(session_id: int) -> tuple[int, str]:
    """The `seq` of the session's last event, and its epoch."""
    return ChatSession.objects.values_list("head", "epoch").get(pk=session_id)


def end_of(run_id: str) -> int | None:
    """The `seq` of the run's end, if it has ended."""
    return Event.objects.filter(run_id=run_id, type=EventType.RUN_END).values_list("seq", flat=True).first()


def active_run(session_id: int) -> str | None:
    """The id of the session's active run, if there is one."""
    found = Run.objects.filter(session_id=session_id, state__in=ACTIVE).values_list("pk", flat=True).first()
    return None if found is None else str(found)


async def announce(session_id: int, news: Sequence[Recorded]) -> None:
    """Tell the group what was recorded. May fail or be lost: whoever watches finds the gap and reads the log."""
    for item in news:
        await group.tell(
            group.of_session(session_id), {"type": "recorded", "seq": item.seq, "texts": item.texts, "ends": item.ends}
        )


def _row(run: Run, fact: Fact, *, seq: int, now: datetime) -> Event:
    row = Event(
        session=run.session, seq=seq, run=run, attempt=run.attempt, type=fact.type, data=fact.data, created_at=now
    )
    step = fact.step
    if step is not None:
        row.step = step.number
        row.step_type = step.type
        row.iteration = step.iteration
        row.tool_name = step.tool_name
        row.call_id = step.call_id
        row.content = step.content
        row.duration = step.duration
        row.data = {name: value for name, value in asdict(step).items() if name in STEP_DATA and value}
        if step.usage is not None:
            row.input_tokens = step.usage.input_tokens
            row.output_tokens = step.usage.output_tokens
            row.cost = _cost(run, step)
    elif fact.type == EventType.MESSAGE:
        row.content = run.message
    return row


def _cost(run: Run, step: Step) -> Decimal | None:
    usage = step.usage
    if usage is None:
        return None
    return prices.cost_of(run.model, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)


def step_of(row: Event) -> Step:
    """The step that an event records, for the conversation that a model sees."""
    return Step(
        number=row.step or 0,
        type=StepType(row.step_type),
        content=row.content,
        iteration=row.iteration or 0,
        tool_name=row.tool_name,
        call_id=row.call_id,
        arguments=row.data.get("arguments", {}),
        is_error=row.data.get("is_error", False),
        is_partial=row.data.get("is_partial", False),
        reasoning=row.data.get("reasoning", False),
        code=row.data.get("code", ""),
    )
