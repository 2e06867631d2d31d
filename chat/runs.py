"""The life of a run in the database: accept, claim, stop, finish. Each function is one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from agents.steps import Step, Turn
from chat import events, leases, quotas, run_queue
from chat.events import Fact, Recorded
from chat.models import ACTIVE, ChatSession, Event, EventType, Run, RunState
from chat.protocol import Code, Refused

TITLE_LENGTH = 80
# What an event says of what its session's user did not do.
OPERATOR = {"by": "operator"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A message that is recorded; `duplicate` where it was so before, and then nothing is new in `recorded`."""

    run_id: str
    client_id: str
    state: str
    duplicate: bool
    recorded: Sequence[Recorded]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A run that the claimer is now to drive, and that nobody else may write to; `steps` are those of earlier attempts."""

    run: Run
    worker: str
    owner_id: int
    turns: list[Turn]
    steps: Sequence[Step]
    recorded: Sequence[Recorded]


@transaction.atomic
def accept(
    session_id: int,
    *,
    message: str,
    agent: str | None,
    enable_reasoning: bool,
    client_id: str | None = None,
    by_operator: bool = False,
) -> Accepted:
    """Record a message once: the same `client_id` again returns the same run. Raises `Refused` where the queue is full
    or the user has reached a limit.

    The session remembers the agent; without one, it is the session's. `by_operator` says that not the user asks, but an operator
    for the user.
    """
    session = events.lock(session_id)
    agent = agent or session.agent
    client_id = client_id or uuid.uuid4().hex
    known = Run.objects.filter(session=session, client_id=client_id).first()
    if known is not None:
        return Accepted(run_id=str(known.pk), client_id=client_id, state=known.state, duplicate=True, recorded=())
    queued = Run.objects.filter(session=session, state=RunState.QUEUED)
    if queued.count() >= settings.QUEUE_LIMIT:
        raise quotas.queue_full(session)
    quotas.check_message(session)
    run = Run.objects.create(
        session=session,
        parent=_kept(session).order_by("-seq").first(),
        client_id=client_id,
        seq=session.head + 1,
        message=message,
        agent=agent,
        enable_reasoning=enable_reasoning,
        created_at=events.now_of(session),
    )
    session.title = session.title or " ".join(message.split())[:TITLE_LENGTH]
    session.agent = agent
    session.save(update_fields=["title", "agent"])
    recorded = events.append(run, [Fact(type=EventType.MESSAGE, data=OPERATOR if by_operator else {})])
    run_queue.enqueue_next(session.pk)
    return Accepted(run_id=str(run.pk), client_id=client_id, state=run.state, duplicate=False, recorded=recorded)


def _kept(session: ChatSession) -> QuerySet[Run]:
    return Run.objects.filter(session=session).exclude(state=RunState.STOPPED, started_at=None)


@transaction.atomic
def claim(session_id: int, *, worker: str, model: str, run_id: str | None = None) -> Claimed | None:
    """Start the session's next queued run, for this worker; None where none waits or one is active, or where another run than
    the named one is next.
    """
    try:
        session = events.lock(session_id)
    except ChatSession.DoesNotExist:
        return None  # Deleted, a moment after somebody saw that a message waits.
    runs = Run.objects.filter(session=session)
    if runs.filter(state__in=ACTIVE).exists():
        return None
    run = runs.filter(state=RunState.QUEUED).order_by("seq").first()
    if run is None or run_id not in (None, str(run.pk)):
        return None
    run.session = session
    run.state = RunState.RUNNING
    run.model = model
    run.started_at = events.now_of(session)
    run.save(update_fields=["state", "model", "started_at"])
    return begin_attempt(run, worker=worker, steps=())


def begin_attempt(run: Run, *, worker: str, steps: Sequence[Step], reason: str = "") -> Claimed:
    """Give the run to a worker, to go on after these steps. Must be called in a transaction that holds the run.

    `reason` says why it is not the first attempt: the process before was `lost`, it was `handed_over`, or `taken_over` by an
    operator, with which the attempt has begun already.
    """
    if reason != "taken_over":
        run.attempt += 1
        run.save(update_fields=["attempt"])
    leases.take(Run.objects.filter(pk=run.pk), worker=worker)
    data = {"model": run.model} | ({"reason": reason} if reason else {})
    recorded = events.append(run, [Fact(type=EventType.RUN_START, data=data)])
    return Claimed(
        run=run, worker=worker, owner_id=run.session.owner_id, turns=turns_before(run), steps=steps, recorded=recorded
    )


def turns_before(run: Run) -> list[Turn]:
    """What came before, as a model is told: the chain of parents, the oldest first, at most `HISTORY_RUNS` of them."""
    earlier = Run.objects.filter(session=run.session, seq__lt=run.seq).order_by("-seq")
    # The chain is mostly the latest runs; what is before them, behind a branch, is asked for one by one.
    parents = dict(earlier.values_list("pk", "parent_id")[: settings.HISTORY_RUNS])
    chain: list[uuid.UUID] = []
    parent = run.parent_id
    while parent is not None and len(chain) < settings.HISTORY_RUNS:
        chain.append(parent)
        parent = parents[parent] if parent in parents else earlier.values_list("parent_id", flat=True).get(pk=parent)
    steps: dict[uuid.UUID, list[Step]] = {pk: [] for pk in chain}
    for event in Event.objects.filter(run_id__in=chain, type=EventType.STEP).order_by("seq"):
        steps[event.run_id].append(events.step_of(event))
    asked = dict(Run.objects.filter(pk__in=chain).values_list("pk", "message"))
    return [Turn(message=asked[pk], steps=steps[pk]) for pk in reversed(chain)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """`run_id` is the run that is to stop, if there was one; `recorded` is its end, where this was it."""

    run_id: str | None
    recorded: Sequence[Recorded] = ()


@transaction.atomic
def stop(session_id: int, run_id: str | None = None, *, by_operator: bool = False) -> Stopping:
    """Record that a run is to stop: the named one, else the active one, else the next. One that still waits is taken back.

    `by_operator` says that it is no wish of the session's user. Raises `Refused` where the named one is not one of this session.
    """
    session = events.lock(session_id)
    runs = Run.objects.filter(session=session)
    if run_id is not None:
        run: Run | None = _run_of(session, run_id)
    else:
        run = runs.filter(state__in=ACTIVE).first() or runs.filter(state=RunState.QUEUED).order_by("seq").first()
    if run is None:
        return Stopping(run_id=None)
    run.session = session
    if run.stop_asked_at is None and not run.is_over:
        run.stop_asked_by_operator = by_operator
        Run.objects.filter(pk=run.pk).update(stop_asked_at=Now(), stop_asked_by_operator=by_operator)
    if run.state == RunState.QUEUED:
        return Stopping(run_id=str(run.pk), recorded=_remove(run))
    return Stopping(run_id=str(run.pk))


def _run_of(session: ChatSession, run_id: str) -> Run:
    try:
        return Run.objects.get(pk=uuid.UUID(run_id), session=session)
    except (Run.DoesNotExist, ValueError):
        raise Refused(Code.UNKNOWN_RUN, "There is no such message in this session.") from None


@transaction.atomic
def remove(session_id: int, run_id: str) -> list[Recorded]:
    """Take a queued message back. Raises `Refused` where it is not queued any more, or is not one of this session."""
    session = events.lock(session_id)
    run = _run_of(session, run_id)
    if run.state != RunState.QUEUED:
        raise Refused(Code.UNKNOWN_RUN, "The message is no longer waiting; stop the run instead.")
    run.session = session
    return _remove(run)


def _remove(run: Run) -> list[Recorded]:
    run.followers.update(parent=run.parent)
    return end(run, state=RunState.STOPPED, steps=())


@transaction.atomic
def finish(
    run_id: str,
    *,
    attempt: int,
    state: RunState,
    steps: Sequence[Step] = (),
    code: str = "",
    message: str = "",
    model: str = "",
    again: bool = False,
) -> list[Recorded]:
    """Record a run's last steps and its end at once, and the model's name if the provider gave it. Raises `events.Superseded`.

    `again` says that an earlier try may have been committed without our knowing: then what it wrote is returned.
    """
    if again:
        # Held first: the database may still be at the earlier try.
        events.lock_run(run_id)
        written = Event.objects.filter(run_id=run_id, attempt=attempt).select_related("run").order_by("seq")
        if written.filter(type=EventType.RUN_END).exists():
            return [events.recorded(event) for event in written]
    run = events.lock_run(run_id, attempt=attempt)
    if model and model != run.model:
        run.model = model[:128]
        run.save(update_fields=["model"])
    return end(run, state=state, steps=steps, code=code, message=message)


def end(run: Run, *, state: RunState, steps: Sequence[Step], code: str = "", message: str = "") -> list[Recorded]:
    """Record a run's last steps and its end. Must be called in a transaction that holds the run."""
    now = events.now_of(run.session)
    events.add_usage(run, steps)
    run.refresh_from_db(fields=["input_tokens", "output_tokens", "reasoning_tokens"])
    run.state = state
    run.ended_at = now
    run.lease_until = None
    run.error_code = code
    run.save(update_fields=["state", "ended_at", "lease_until", "error_code"])
    data: dict[str, object] = {"state": str(state), "started": run.started_at is not None}
    if state == RunState.STOPPED and run.stop_asked_by_operator:
        data |= OPERATOR
    if run.started_at is not None:
        data["model"] = run.model
        data["duration"] = round((now - run.started_at).total_seconds(), 3)
        data["usage"] = {
            "input_tokens": run.input_tokens,
            "output_tokens": run.output_tokens,
            "reasoning_tokens": run.reasoning_tokens,
        }
    if code:
        data |= {"code": code, "message": message}
    facts = [Fact(type=EventType.STEP, step=step) for step in steps]
    recorded = events.append(run, [*facts, Fact(type=EventType.RUN_END, data=data)])
    run_queue.enqueue_next(run.session_id)
    return recorded


def sessions_waiting() -> list[int]:
    """Sessions in which a run is queued and none is active."""
    return list(run_queue.first_waiting().values_list("session_id", flat=True))


def session_of(run_id: str) -> int | None:
    """The session of a run, if the run is there."""
    return Run.objects.filter(pk=run_id).values_list("session_id", flat=True).first()
