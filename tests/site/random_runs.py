"""Runs of all kinds at random, and what is to be told of them, counted row by row in Python."""

from __future__ import annotations

import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from chat import tool_counts
from chat.models import ChatSession, Event, EventType, Feedback, Run, RunState
from chat.statistics.measures import Measures
from chat.statistics.period import Period, between, last_days, last_hours
from chat.statistics.query import Dimension, Report, Selection, report

AGENTS = ["assistant", "writer", "O'Neill \"; --"]
MODELS = ["openai:gpt-5.5", "demo", ""]
TOOLS = ["calculator", "clock", "%s fetch", "höchst <b>"]
CODES = ["model_error", "bad_tool_call", "timed_out", ""]


def fill(chance: random.Random, *, count: int = 120) -> None:
    """Some users with sessions, some private, and runs of the last 40 days, the very edges of days and hours among them."""
    users = [User.objects.create_user(f"user {chance.random()}") for _ in range(4)]
    edge = timezone.localtime().replace(minute=0, second=0, microsecond=0)
    for number in range(count):
        session = ChatSession.objects.create(
            owner=chance.choice(users), agent="assistant", is_private=chance.random() < 0.3, title=str(number)
        )
        asked = edge - timedelta(
            seconds=chance.choice([0, 3600, chance.uniform(0, 86400), chance.uniform(0, 40 * 86400)])
        )
        if number % 10 == 0:
            asked = edge.replace(hour=0) - timedelta(days=number // 10)
        make_run(chance, session, min(asked, timezone.now()))
    tool_counts.rebuild()


def make_run(chance: random.Random, session: ChatSession, asked: datetime) -> Run:
    state = chance.choice([RunState.COMPLETED] * 4 + [RunState.FAILED] * 2 + list(RunState))
    is_over = state in (RunState.COMPLETED, RunState.FAILED, RunState.STOPPED)
    # A run may end without having begun, and one that is going on has no end yet.
    started = asked + timedelta(seconds=chance.uniform(0, 5)) if chance.random() < 0.9 else None
    run = Run.objects.create(
        session=session,
        client_id="c",
        seq=1,
        message="m",
        agent=chance.choice(AGENTS),
        model=chance.choice(MODELS),
        state=state,
        error_code=chance.choice(CODES) if state == RunState.FAILED else "",
        input_tokens=chance.randint(0, 9000),
        output_tokens=chance.randint(0, 900),
        cost=None if chance.random() < 0.3 else chance.randint(0, 10**7) / 10**8,
        first_token_seconds=None if chance.random() < 0.3 else chance.choice([0.5, chance.uniform(0, 3)]),
        created_at=asked,
        started_at=started,
        ended_at=asked + timedelta(seconds=chance.uniform(6, 900)) if is_over else None,
    )
    facts: list[dict[str, Any]] = [{"type": EventType.MESSAGE}]
    for step in range(chance.choice([0, 0, 1, 3, 6])):
        tool, error = chance.choice(TOOLS), chance.random() < 0.3
        facts += [
            {"type": EventType.STEP, "step": 2 * step + 1, "step_type": "tool_use", "tool_name": tool},
            {
                "type": EventType.STEP,
                "step": 2 * step + 2,
                "step_type": "tool_result",
                "tool_name": tool,
                "data": {"is_error": True} if error else chance.choice([{}, {"is_error": False}]),
            },
        ]
    for seq, fact in enumerate(facts, start=1):
        Event.objects.create(session=session, run=run, seq=seq, created_at=asked, **fact)
    if chance.random() < 0.4:
        Feedback.objects.create(run=run, thumb=chance.choice([Feedback.UP, Feedback.DOWN]))
    return run


# --- counted row by row -----------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def counted(runs: Sequence[Run], tool: str = "") -> Measures:
    """What is to be told of these runs, whose tools are the named one or all."""
    ended = [run for run in runs if run.is_over]
    failed = [run for run in runs if run.state == RunState.FAILED]
    seconds = [(run.ended_at - run.started_at).total_seconds() for run in runs if run.ended_at and run.started_at]
    first = [run.first_token_seconds for run in runs if run.first_token_seconds is not None]
    costs = [float(run.cost) for run in runs if run.cost is not None]
    thumbs = Counter(run.feedback.thumb for run in runs if hasattr(run, "feedback"))
    steps = [event for run in runs for event in run.events.all() if not tool or event.tool_name == tool]
    return Measures(
        runs=len(runs),
        ended=len(ended),
        failed=len(failed),
        model_failed=sum(run.error_code in ("model_error", "bad_tool_call") for run in failed),
        p50_seconds=percentile(seconds, 50),
        p95_seconds=percentile(seconds, 95),
        p50_first_token=percentile(first, 50),
        p95_first_token=percentile(first, 95),
        input_tokens=sum(run.input_tokens for run in runs),
        output_tokens=sum(run.output_tokens for run in runs),
        cost=round(sum(costs), 8) if costs else None,
        tool_calls=sum(event.step_type == "tool_use" for event in steps),
        tool_errors=sum(event.step_type == "tool_result" and bool(event.data.get("is_error")) for event in steps),
        up=thumbs[1],
        down=thumbs[-1],
    )


def tools_of(run: Run) -> set[str]:
    return {event.tool_name for event in run.events.all() if event.tool_name}


KEYS: dict[Dimension, Callable[[Run], set[str]]] = {
    Dimension.AGENT: lambda run: {run.agent},
    Dimension.MODEL: lambda run: {run.model},
    Dimension.TOOL: tools_of,
    Dimension.USER: lambda run: {run.session.owner.get_username()},
}


def all_rows() -> list[Run]:
    return list(Run.objects.select_related("session__owner", "feedback").prefetch_related("events"))


def expected(rows: list[Run], reader: User, period: Period, selection: Selection, by: Dimension) -> Report:
    runs = [
        run
        for run in rows
        if period.start <= run.created_at < period.end
        and (reader.is_superuser or not run.session.is_private or run.session.owner == reader)
        and selection.agent in ("", run.agent)
        and selection.model in ("", run.model)
        and selection.user_id in (None, run.session.owner_id)
        and (not selection.tool or selection.tool in tools_of(run))
    ]
    times = [
        (begin, end, counted([run for run in runs if begin <= run.created_at < end], selection.tool))
        for begin, end in period.moments()
    ]
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        for key in KEYS[by](run):
            if by is not Dimension.TOOL or selection.tool in ("", key):
                groups[key].append(run)
    named = {key: counted(some, key if by is Dimension.TOOL else selection.tool) for key, some in groups.items()}
    return Report(counted(runs, selection.tool), times, list(named.items()), len(named))


def assert_equal(one: Measures, other: Measures) -> None:
    for (name, here), there in zip(asdict(one).items(), asdict(other).values(), strict=True):
        assert here == (None if there is None else pytest.approx(there, rel=1e-6, abs=1e-6)), name


def assert_right(rows: list[Run], reader: User, period: Period, selection: Selection, by: Dimension) -> Report:
    """The database counts as Python does."""
    told, wanted = report(reader, period, selection, by), expected(rows, reader, period, selection, by)
    assert_equal(told.total, wanted.total)
    assert [moments[:2] for moments in told.times] == [moments[:2] for moments in wanted.times]
    for (*_, here), (*_, there) in zip(told.times, wanted.times, strict=True):
        assert_equal(here, there)
    assert told.group_count == wanted.group_count
    assert [measures.runs for _, measures in told.groups] == sorted(
        (measures.runs for _, measures in wanted.groups), reverse=True
    )
    assert dict(told.groups).keys() == dict(wanted.groups).keys()
    for name, measures in told.groups:
        assert_equal(measures, dict(wanted.groups)[name])
    return told


def viewer() -> User:
    user = User.objects.create_user(f"viewer {User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["view_run", "view_chatsession"]))
    return User.objects.get(pk=user.pk)


def check(seed: int) -> None:
    """All numbers, for those who see everything and for those who do not, before and after what changes them."""
    chance = random.Random(seed)
    fill(chance)
    readers = [User.objects.create_superuser(f"admin {seed}"), viewer()]
    owner = ChatSession.objects.earliest("pk").owner_id
    selections = [
        Selection(),
        Selection(agent=AGENTS[2]),
        Selection(model="demo", tool=TOOLS[2]),
        Selection(tool="calculator", user_id=owner),
        Selection(agent="nobody"),
    ]

    today = timezone.localdate()
    periods = [last_hours(24), last_days(30), between(today - timedelta(days=4), today - timedelta(days=3))]

    def all_right() -> int:
        found, rows = 0, all_rows()
        for reader in readers:
            for period in periods:
                for selection in selections:
                    for by in Dimension:
                        found += assert_right(rows, reader, period, selection, by).total.runs
        return found

    assert all_right() > 0
    # Ends that come late, sessions that are deleted or marked private: nothing remembers what was before.
    late = Run.objects.filter(state=RunState.RUNNING)
    late.update(state=RunState.COMPLETED, ended_at=timezone.now() + timedelta(hours=3))
    ChatSession.objects.filter(pk__in=list(ChatSession.objects.values_list("pk", flat=True)[:20])).delete()
    ChatSession.objects.filter(pk__in=list(ChatSession.objects.values_list("pk", flat=True)[:20])).update(
        is_private=True
    )
    assert all_right() > 0
