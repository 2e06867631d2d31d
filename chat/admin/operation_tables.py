"""The tables of the page of operations: plain texts, the same for the template and for the script that renews them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse

from agents import registry
from chat import operations, workload
from chat.models import Run, RunState
from chat.readings import readable_by
from chat.workload import Rate


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, or a link, if there is an `href`; `is_bad` marks what needs somebody to look."""

    text: str
    href: str = ""
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`key` is the row's own in its table. `run` and `actions` are what its buttons do, and to what."""

    key: str
    cells: Sequence[Cell]
    run: str = ""
    actions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """`told` is read out when it changes."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    empty: str
    told: str = ""

    @property
    def has_actions(self) -> bool:
        return self.name.startswith("runs-")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def all_for(user: Any) -> list[Table]:
    """How things stand now, for somebody who may operate."""
    now = workload.now_by_database(user.pk)
    readable = readable_by(user)
    tables = [
        _totals(),
        _runs("runs-lost", "Dead: nobody drives them", workload.lost(readable), now, "Every active run is driven."),
        _runs("runs-active", "Under way", workload.under_way(readable), now, "Nothing is under way."),
        _runs("runs-queued", "Waiting", workload.queued(readable), now, "Nothing waits."),
        _runs(
            "runs-given-up", "Given up within a day", workload.given_up(readable, now=now), now, "None was given up."
        ),
        _queues(now),
        _processes(now),
        _rates("failures", "Failures by code", "Code", workload.failures(now=now), is_failures=True),
        _rates("models", "Models", "Model", workload.models(now=now)),
        _rates("tools", "Tools", "Tool", workload.tools(now=now)),
    ]
    jobs = workload.jobs()
    if jobs is not None:
        rows = [Row(one.queue, [Cell(one.queue), Cell(str(one.todo)), Cell(str(one.doing))]) for one in jobs]
        tables.insert(6, Table("jobs", "Jobs of the workers' queue", ["Queue", "To do", "Under way"], rows, "No jobs."))
    return tables


def _totals() -> Table:
    counts = workload.totals()
    told = f"{counts['waiting']} waiting, {counts['active']} under way, {counts['lost']} dead"
    words = {"waiting": "Waiting", "active": "Under way", "lost": "Dead"}
    rows = [
        Row(name, [Cell(word), Cell(str(counts[name]), is_bad=name == "lost" and counts[name] > 0)])
        for name, word in words.items()
    ]
    return Table("totals", "All runs", ["Runs", "Number"], rows, "", told)


def _runs(name: str, title: str, runs: Iterable[Run], now: datetime, empty: str) -> Table:
    columns = ["Run", "User", "Agent", "State", "For", "Attempt", "Worker", "Lease"]
    return Table(name, title, columns, [_run(run, now) for run in runs], empty)


def _run(run: Run, now: datetime) -> Row:
    since = run.ended_at or run.started_at or run.created_at
    attempt = f"{run.attempt}" + (f", {run.losses} lost" if run.losses else "")
    cells = [
        Cell(str(run.pk)[:8], reverse("admin:chat_run_change", args=[run.pk])),
        Cell(run.session.owner.get_username()),
        Cell(run.agent),
        Cell(_state(run)),
        Cell(spelled(now - since) + (" ago" if run.is_over else "")),
        Cell(attempt),
        Cell(run.worker),
        _lease(run, now),
    ]
    return Row(str(run.pk), cells, str(run.pk), operations.offered(run))


def _state(run: Run) -> str:
    if run.stop_asked_at is not None and not run.is_over:
        return "asked to stop"
    return f"{run.get_state_display()}{f', {run.error_code}' if run.error_code else ''}"


def _lease(run: Run, now: datetime) -> Cell:
    if run.is_over or run.state == RunState.QUEUED:
        return Cell("")
    if run.lease_until is None:
        return Cell("taken from its worker" if run.worker else "handed over")
    if run.lease_until >= now:
        return Cell(f"{spelled(run.lease_until - now)} left")
    return Cell(f"passed {spelled(now - run.lease_until)} ago", is_bad=True)


def _queues(now: datetime) -> Table:
    rows = [
        Row(
            one.agent,
            [
                Cell(registry.AGENTS[one.agent].title if one.agent in registry.AGENTS else one.agent),
                Cell(one.queue),
                Cell(str(one.runs)),
                Cell(str(one.ready)),
                Cell(spelled(now - one.since) if one.since else ""),
            ],
        )
        for one in workload.waiting()
    ]
    columns = ["Agent", "Queue", "Waiting", "Of these for a worker alone", "Longest wait for a worker"]
    return Table("queues", "Queues", columns, rows, "Nothing waits.")


def _processes(now: datetime) -> Table:
    rows = [
        Row(
            one.name,
            [
                Cell(one.name),
                Cell(one.kind),
                Cell("alive" if one.is_alive else "not heard of", is_bad=not one.is_alive),
                Cell(f"{spelled(now - one.seen_at)} ago" if one.seen_at else "never"),
                Cell(str(one.sockets)),
                Cell(str(one.runs)),
            ],
        )
        for one in workload.working()
    ]
    columns = ["Process", "Kind", "State", "Heard of", "Sockets", "Runs"]
    return Table("processes", "Processes", columns, rows, "None has announced itself yet.")


def _rates(name: str, title: str, what: str, rates: Iterable[Rate], *, is_failures: bool = False) -> Table:
    if is_failures:
        rows = [Row(one.name, [Cell(one.name or "none"), Cell(str(one.hour)), Cell(str(one.day))]) for one in rates]
        return Table(name, title, [what, "Last hour", "Last day"], rows, "Nothing has failed within a day.")
    rows = [
        Row(
            one.name,
            [
                Cell(one.name or "not named"),
                Cell(_share(one.hour_failed, one.hour), is_bad=one.hour_failed > 0),
                Cell(_share(one.day_failed, one.day)),
            ],
        )
        for one in rates
    ]
    columns = [what, "Failed in the last hour", "Failed in the last day"]
    return Table(name, f"{title}: how often they fail", columns, rows, "None was used within a day.")


def _share(failed: int, count: int) -> str:
    return f"{failed} of {count} ({100 * failed / count:.0f} %)" if count else "not used"


def spelled(wait: timedelta) -> str:
    """A span in words, in its two largest units."""
    seconds = max(0, int(wait.total_seconds()))
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= length:
            return f"{seconds // length} {unit} {seconds % length // part} {smaller}"
    return f"{seconds} s"
