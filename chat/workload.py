"""What waits, what is under way, who works and what has failed, asked of the database as a whole: for the page of operations.

Numbers are of all runs, as the machines have them. Single runs are listed only from sessions that the reader may read.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import Count, F, Min, Q, QuerySet
from django.db.models.functions import Now

from agents import registry
from agents.steps import FailureCode, StepType
from chat import processes, run_queue
from chat.models import ACTIVE, ChatSession, Event, Process, Run, RunState

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
LISTED: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The queue of an agent: how many wait, how many of them for a worker alone, and since when the first of these."""

    agent: str
    queue: str
    runs: int
    ready: int
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """The jobs of a queue of Procrastinate's."""

    queue: str
    todo: int
    doing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """A process; one without `seen_at` is gone, and yet runs are in its name."""

    name: str
    kind: str
    seen_at: datetime | None
    is_alive: bool
    sockets: int
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How many there were, and how many of them failed, within an hour and within a day."""

    name: str
    hour: int
    hour_failed: int
    day: int
    day_failed: int


def now_by_database(user_id: int) -> datetime:
    """The database's time: leases, and what a process last said, go by it."""
    now: datetime = get_user_model().objects.annotate(now=Now()).values_list("now", flat=True).get(pk=user_id)
    return now


def waiting() -> list[Waiting]:
    """The queue by agents, the longest wait first."""
    all_waiting = Run.objects.filter(state=RunState.QUEUED).order_by().values_list("agent")
    counts = dict(all_waiting.annotate(Count("pk")))
    first = run_queue.first_waiting().order_by().values_list("agent")
    ready = {agent: (count, since) for agent, count, since in first.annotate(Count("pk"), Min("created_at"))}
    found = [
        Waiting(
            agent=agent,
            queue=registry.queue_of(agent),
            runs=count,
            ready=ready.get(agent, (0, None))[0],
            since=ready.get(agent, (0, None))[1],
        )
        for agent, count in counts.items()
    ]
    return sorted(found, key=lambda one: (one.since.timestamp() if one.since else math.inf, one.agent))


def jobs() -> list[Jobs] | None:
    """What the workers' queue holds; None where there is none."""
    if not settings.HAS_WORKERS:
        return None
    from procrastinate.contrib.django.models import ProcrastinateJob

    counted = ProcrastinateJob.objects.order_by().values("queue_name")
    counted = counted.annotate(todo=Count("pk", filter=Q(status="todo")), doing=Count("pk", filter=Q(status="doing")))
    return [
        Jobs(queue=one["queue_name"], todo=one["todo"], doing=one["doing"]) for one in counted.order_by("queue_name")
    ]


def working() -> list[Working]:
    """The processes, and those that are gone and still have runs in their names."""
    held = Counter(dict(_active().order_by().exclude(worker="").values_list("worker").annotate(Count("pk"))))
    runs: Counter[str] = Counter()
    for worker, count in held.items():
        # A driver's name is that of its process and a few letters.
        runs[worker.rpartition("-")[0]] += count
    alive = set(processes.living().values_list("pk", flat=True))
    found = [
        Working(
            name=process.name,
            kind=process.get_kind_display(),
            seen_at=process.seen_at,
            is_alive=process.name in alive,
            sockets=process.open,
            runs=runs.pop(process.name, 0),
        )
        for process in Process.objects.annotate(open=Count("sockets")).order_by("kind", "name")
    ]
    gone = [
        Working(name=name, kind="gone", seen_at=None, is_alive=False, sockets=0, runs=count)
        for name, count in sorted(runs.items())
    ]
    return found + gone


def _active() -> QuerySet[Run]:
    return Run.objects.filter(state__in=ACTIVE)


def under_way(readable: QuerySet[ChatSession]) -> QuerySet[Run]:
    """Runs that somebody drives, the oldest first."""
    found = _active().filter(lease_until__gte=Now(), session__in=readable)
    return found.select_related("session__owner").order_by("started_at")[:LISTED]


def lost(readable: QuerySet[ChatSession]) -> QuerySet[Run]:
    """Active runs that nobody drives: their lease has passed, or they were handed over, and nobody has taken them up."""
    found = _active().filter(Q(lease_until=None) | Q(lease_until__lt=Now()), session__in=readable)
    return found.select_related("session__owner").order_by("started_at")[:LISTED]


def queued(readable: QuerySet[ChatSession]) -> QuerySet[Run]:
    """Runs that wait, the oldest first."""
    found = Run.objects.filter(state=RunState.QUEUED, session__in=readable)
    return found.select_related("session__owner").order_by("created_at")[:LISTED]


def given_up(readable: QuerySet[ChatSession], *, now: datetime) -> QuerySet[Run]:
    """Runs that have ended as lost within a day, the latest first."""
    found = Run.objects.filter(ended_at__gte=now - DAY, error_code=FailureCode.LOST, session__in=readable)
    return found.select_related("session__owner").order_by("-ended_at")[:LISTED]


def totals() -> dict[str, int]:
    """How many runs wait, are under way, and are active without anybody to drive them."""
    driven = Q(lease_until__gte=Now())
    unfinished = Run.objects.filter(state__in=(RunState.QUEUED, *ACTIVE)).aggregate(
        waiting=Count("pk", filter=Q(state=RunState.QUEUED)),
        active=Count("pk", filter=Q(state__in=ACTIVE) & driven),
        lost=Count("pk", filter=Q(state__in=ACTIVE) & (Q(lease_until=None) | Q(lease_until__lt=Now()))),
    )
    return dict(unfinished)


def failures(*, now: datetime) -> list[Rate]:
    """Why runs have failed."""
    failed = Run.objects.filter(ended_at__gte=now - DAY, state=RunState.FAILED)
    hour = Q(ended_at__gte=now - HOUR)
    return _rates(failed, "error_code", hour=hour, has_failed=Q())


def models(*, now: datetime) -> list[Rate]:
    """How the runs of each model have ended."""
    ended = Run.objects.filter(ended_at__gte=now - DAY, started_at__isnull=False)
    return _rates(ended, "model", hour=Q(ended_at__gte=now - HOUR), has_failed=Q(state=RunState.FAILED))


def tools(*, now: datetime) -> list[Rate]:
    """How the calls of each tool have ended."""
    results = Event.objects.filter(created_at__gte=now - DAY, step_type=StepType.TOOL_RESULT)
    return _rates(results, "tool_name", hour=Q(created_at__gte=now - HOUR), has_failed=Q(data__is_error=True))


def _rates(rows: QuerySet[Any], name: str, *, hour: Q, has_failed: Q) -> list[Rate]:
    counted = rows.order_by().values(named=F(name))
    counted = counted.annotate(
        hour=Count("pk", filter=hour),
        hour_failed=Count("pk", filter=hour & has_failed),
        day=Count("pk"),
        day_failed=Count("pk", filter=has_failed) if has_failed else Count("pk"),
    )
    found = counted.order_by("-day_failed", "-day", "named")[:LISTED]
    return [
        Rate(
            name=one["named"],
            hour=one["hour"],
            hour_failed=one["hour_failed"],
            day=one["day"],
            day_failed=one["day_failed"],
        )
        for one in found
    ]
