"""One query for all the numbers of a page. It reads the runs once, and groups what it has read in several ways.

Django's own aggregates would read them once for each grouping, and have no percentiles. What is read, and by whom, is a query of
Django's; only the grouping is written here, of names that stand in this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import DateTimeField, F, FloatField, Func, QuerySet
from django.db.models.functions import Trunc
from django.utils import timezone

from agents.steps import FailureCode
from chat.models import Feedback, Run, RunState
from chat.readings import readable_by
from chat.statistics.measures import Measures
from chat.statistics.percentile import percentile, prepare
from chat.statistics.period import Period

# Rows of a breakdown: who has a thousand users wants to see the busiest.
MOST_GROUPS = 50
ENDED = ", ".join(f"'{state.value}'" for state in (RunState.COMPLETED, RunState.FAILED, RunState.STOPPED))
MODEL_FAILURES = ", ".join(f"'{code.value}'" for code in (FailureCode.MODEL_ERROR, FailureCode.BAD_TOOL_CALL))


class Dimension(StrEnum):
    AGENT = "agent"
    MODEL = "model"
    TOOL = "tool"
    USER = "user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which runs: those of this agent, model or user, that called this tool; all where nothing is said."""

    agent: str = ""
    model: str = ""
    tool: str = ""
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`times` has every unit of the period. `groups` are the busiest, by their name, of `group_count`; a run belongs to each tool
    that it called, and to none if it called none.
    """

    total: Measures
    times: list[tuple[datetime, datetime, Measures]]
    groups: list[tuple[str, Measures]]
    group_count: int


class Seconds(Func):
    """The time from the second of two moments to the first."""

    output_field = FloatField()
    arity = 2

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, template="EXTRACT(EPOCH FROM %(expressions)s)::float8", arg_joiner=" - ", **context
        )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Django's own function, exact to the microsecond.
        return self.as_sql(
            compiler, connection, template="(django_timestamp_diff(%(expressions)s) / 1000000.0)", **context
        )


def report(reader: Any, period: Period, selection: Selection, by: Dimension) -> Report:
    """The numbers of the runs that were asked for in the period, among those that the reader may read. Three queries at most,
    however many runs there are.
    """
    try:
        facts, parameters = _facts(reader, period, selection).query.sql_with_params()
    except EmptyResultSet:  # who may read no session at all
        return _read([], period, by)
    groups = " UNION ALL ".join(
        [
            _grouped("total", "''", "facts"),
            _grouped("time", "CAST(moment AS text)", "facts", group="moment"),
            _groups(by, selection),
        ]
    )
    prepare(connection)
    with connection.cursor() as cursor:
        # `MATERIALIZED`: read once.
        cursor.execute(f"WITH facts AS MATERIALIZED ({facts}) {groups}", parameters)
        rows = cursor.fetchall()
    return _read(rows, period, by)


def _facts(reader: Any, period: Period, selection: Selection) -> QuerySet[Any, Any]:
    """What is measured of each run."""
    runs: QuerySet[Any, Any] = Run.objects.filter(
        session__in=readable_by(reader), created_at__gte=period.start, created_at__lt=period.end
    ).order_by()
    calls, errors = "tool_calls", "tool_errors"
    if selection.agent:
        runs = runs.filter(agent=selection.agent)
    if selection.model:
        runs = runs.filter(model=selection.model)
    if selection.user_id is not None:
        runs = runs.filter(session__owner=selection.user_id)
    if selection.tool:
        # At most one row for each run, so that none is counted twice.
        runs = runs.filter(tool_counts__tool_name=selection.tool).annotate(tool_key=F("tool_counts__tool_name"))
        calls, errors = "tool_counts__calls", "tool_counts__errors"
    return runs.values(
        *(["tool_key"] if selection.tool else []),
        "state",
        "error_code",
        "input_tokens",
        "output_tokens",
        "cost",
        "first_token_seconds",
        run_key=F("id"),
        agent_key=F("agent"),
        model_key=F("model"),
        user_key=F("session__owner"),
        moment=Trunc("created_at", period.unit.value, output_field=DateTimeField()),
        seconds=Seconds("ended_at", "started_at"),
        calls=F(calls),
        errors=F(errors),
        thumb=F("feedback__thumb"),
    )


def _measured(counts: str) -> str:
    """The columns of `Measures`, in their order, of rows of `facts`; the calls and errors of tools are those of `counts`."""

    def count(condition: str) -> str:
        return f"COUNT(*) FILTER (WHERE {condition})"

    def at(column: str, fraction: float) -> str:
        return percentile(column, fraction, vendor=connection.vendor)

    columns = {
        "runs": "COUNT(*)",
        "ended": count(f"state IN ({ENDED})"),
        "failed": count(f"state = '{RunState.FAILED.value}'"),
        "model_failed": count(f"state = '{RunState.FAILED.value}' AND error_code IN ({MODEL_FAILURES})"),
        "p50_seconds": at("seconds", 0.5),
        "p95_seconds": at("seconds", 0.95),
        "p50_first_token": at("first_token_seconds", 0.5),
        "p95_first_token": at("first_token_seconds", 0.95),
        "input_tokens": "SUM(input_tokens)",
        "output_tokens": "SUM(output_tokens)",
        "cost": "SUM(cost)",
        "tool_calls": f"SUM({counts}.calls)",
        "tool_errors": f"SUM({counts}.errors)",
        "up": count(f"thumb = {Feedback.UP}"),
        "down": count(f"thumb = {Feedback.DOWN}"),
    }
    return ", ".join(columns[field.name] for field in fields(Measures))


def _grouped(name: str, key: str, source: str, *, counts: str = "facts", more: str = "0", group: str = "2") -> str:
    columns = f"SELECT '{name}' AS name, {key} AS key, {more} AS others, {_measured(counts)} FROM {source}"  # noqa: S608  (nothing here is from outside)
    return columns if name == "total" else f"{columns} GROUP BY {group}"


def _groups(by: Dimension, selection: Selection) -> str:
    """The busiest groups, each with the number of all of them."""
    # As bytes: a language's own order takes several times as long.
    collation = ' COLLATE "C"' if connection.vendor == "postgresql" else ""
    if by is Dimension.TOOL:
        source = "facts JOIN chat_toolcount tools ON tools.run_id = facts.run_key"
        if selection.tool:
            source += " AND tools.tool_name = facts.tool_key"
        grouped = _grouped("group", f"tools.tool_name{collation}", source, counts="tools", more="COUNT(*) OVER ()")
    else:
        grouped = _grouped("group", f"CAST({by.value}_key AS text){collation}", "facts", more="COUNT(*) OVER ()")
    return f"SELECT * FROM ({grouped} ORDER BY 4 DESC, 2 LIMIT {MOST_GROUPS}) busiest"  # noqa: S608  (as above)


def _read(rows: Sequence[tuple[Any, ...]], period: Period, by: Dimension) -> Report:
    total, times, groups, group_count = Measures(), {}, [], 0
    for name, key, others, *values in rows:
        measures = _measures(values)
        match name:
            case "total":
                total = measures
            case "time":
                times[timezone.make_aware(datetime.fromisoformat(key))] = measures
            case _:
                groups.append((key, measures))
                group_count = others
    if by is Dimension.USER:
        groups = _with_names(groups)
    every = [(begin, end, times.get(begin, Measures())) for begin, end in period.moments()]
    return Report(total, every, groups, group_count)


def _measures(values: Sequence[Any]) -> Measures:
    named = dict(zip((field.name for field in fields(Measures)), values, strict=True))
    for name, value in named.items():
        if name == "cost":
            named[name] = None if value is None else round(float(value), 8)
        elif name.startswith("p"):
            named[name] = None if value is None else float(value)
        else:
            named[name] = int(value or 0)
    return Measures(**named)


def _with_names(groups: list[tuple[str, Measures]]) -> list[tuple[str, Measures]]:
    users = get_user_model()._default_manager.in_bulk([int(key) for key, _ in groups])
    return [(users[int(key)].get_username(), measures) for key, measures in groups if int(key) in users]
