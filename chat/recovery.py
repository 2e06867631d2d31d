"""Runs that have lost their process: found by their leases, taken over or ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, Q
from django.db.models.functions import Now

from agents.steps import FailureCode, Step, StepType
from agents.tools import is_safe_to_repeat
from chat import events, processes, runs
from chat.events import Recorded
from chat.models import ACTIVE, EventType, Run, RunState

LATE = timedelta(seconds=1)


def abandoned(*, mine_alone: str | None = None) -> list[tuple[str, int]]:
    """Active runs, each with its attempt, whose lease has passed. Where one process alone drives runs, give its name: then
    all that it does not hold."""
    found = Run.objects.filter(_is_lost(mine_alone), state__in=ACTIVE).values_list("pk", "attempt")
    return [(str(pk), attempt) for pk, attempt in found]


def stopped_and_abandoned(session_id: int) -> tuple[str, int] | None:
    """The session's active run, with its attempt, where its stop is recorded and its lease has passed a while ago: whoever
    lives and was late to renew it knows best what was said so far.
    """
    passed = ExpressionWrapper(Now() - LATE, output_field=DateTimeField())
    stopped = Run.objects.filter(session_id=session_id, state__in=ACTIVE, stop_asked_at__isnull=False)
    found = stopped.filter(Q(lease_until__lt=passed) | Q(lease_until=None))
    row = found.values_list("pk", "attempt").first()
    return None if row is None else (str(row[0]), row[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An active run: it is to be taken over, if it may be. `taken_from` is the worker that an operator took it from, or ""."""

    attempt: int
    taken_from: str


def begun(run_id: str) -> Begun | None:
    """The run if it is active."""
    run = Run.objects.filter(pk=run_id, state__in=ACTIVE).only("attempt", "worker", "lease_until").first()
    if run is None:
        return None
    return Begun(attempt=run.attempt, taken_from=run.worker if run.lease_until is None else "")


def others_work(process: str) -> bool:
    """Whether a worker lives beside this process."""
    return processes.living().filter(kind="worker").exclude(pk=process).exists()


def _is_lost(mine_alone: str | None) -> Q:
    lost = Q(lease_until__lt=Now()) | Q(lease_until=None)
    return lost if mine_alone is None else lost | ~Q(worker=mine_alone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A lost run that could only be ended, in an attempt of its own."""

    session_id: int
    attempt: int
    recorded: Sequence[Recorded]


@transaction.atomic
def take_over(run_id: str, *, attempt: int, worker: str, mine_alone: str | None = None) -> runs.Claimed | Ended:
    """Take a run that has lost its process or was handed over, to go on from the log; or end it, where that is all that is
    left to do.

    Whoever drove it is refused from now on. Raises `Superseded` where it is not free: ended, taken over, or its lease renewed.
    """
    run = events.lock_run(run_id, attempt=attempt)
    if not Run.objects.filter(_is_lost(mine_alone), pk=run.pk).exists():
        raise events.Superseded(f"run {run_id}: attempt {attempt} lives")
    reason = "taken_over" if run.worker else "handed_over"
    if run.lease_until is not None:
        reason = "lost"
        run.losses += 1
        run.save(update_fields=["losses"])
    steps = [events.step_of(event) for event in run.events.filter(type=EventType.STEP).order_by("step")]
    ending = _only_ending(run, steps)
    if ending is None:
        return runs.begin_attempt(run, worker=worker, steps=steps, reason=reason)
    if reason != "taken_over":  # With that the attempt has begun already.
        run.attempt += 1
        run.save(update_fields=["attempt"])
    return Ended(session_id=run.session_id, attempt=run.attempt, recorded=ending())


def _only_ending(run: Run, steps: list[Step]) -> Callable[[], list[Recorded]] | None:
    """How a lost run must end; None where it can go on."""
    if steps and steps[-1].type is StepType.FINAL_ANSWER:
        return partial(runs.end, run, state=RunState.COMPLETED, steps=())
    if run.stop_asked_at is not None:
        return partial(runs.end, run, state=RunState.STOPPED, steps=())
    last = steps[-1] if steps else None
    number, iteration = (last.number, last.iteration) if last else (0, 0)
    unsafe = [step for step in _unanswered(steps) if not is_safe_to_repeat(step.tool_name)]
    results = [
        Step(
            number=number + index,
            type=StepType.TOOL_RESULT,
            content="Outcome unknown: the process was lost while this tool was at work, and it was not repeated.",
            iteration=use.iteration,
            tool_name=use.tool_name,
            call_id=use.call_id,
            is_error=True,
            code=FailureCode.OUTCOME_UNKNOWN,
        )
        for index, use in enumerate(unsafe, start=1)
    ]
    if unsafe:
        code = FailureCode.OUTCOME_UNKNOWN
        names = ", ".join(use.tool_name for use in unsafe)
        message = (
            f"Whether {names} has done its work is not known."
            " See for yourself, then try again if it has not, or go on if it has."
        )
    elif run.losses >= settings.ATTEMPTS:
        code = FailureCode.LOST
        message = (
            "The processes that were working on this answer are gone. Nothing that was recorded is lost; try again."
        )
    else:
        return None
    error = Step(number=number + len(results) + 1, type=StepType.ERROR, content=message, iteration=iteration, code=code)
    return partial(runs.end, run, state=RunState.FAILED, steps=[*results, error], code=code, message=message)


def _unanswered(steps: list[Step]) -> list[Step]:
    """The calls of tools without a result. Each result answers one call: a model may give the same id to several."""
    waiting: list[Step] = []
    for step in steps:
        if step.type is StepType.TOOL_USE:
            waiting.append(step)
        elif step.type is StepType.TOOL_RESULT:
            calls = [use for use in waiting if (use.iteration, use.call_id) == (step.iteration, step.call_id)]
            if calls:
                waiting.remove(calls[0])
    return waiting
