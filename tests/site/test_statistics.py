"""What is told of many runs is what their rows say, on both databases."""

from __future__ import annotations

import io
import random
import uuid
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.steps import Step, StepType
from chat import events, tool_counts
from chat.models import Event, Run, RunState, ToolCount
from chat.statistics.percentile import continuous
from chat.statistics.period import between, last_days, last_hours
from chat.statistics.query import MOST_GROUPS, Dimension, Selection, report
from tests.parts.installation import manage
from tests.parts.postgres_server import Database
from tests.site import random_runs
from tests.site.rows import make_session


@pytest.mark.parametrize("seed", range(2))
def test_the_numbers_are_those_of_the_rows(db: None, seed: int) -> None:
    """Whatever the runs, the filters and the reader; also after ends, deletions and sessions that became private."""
    random_runs.check(seed)


@pytest.mark.long
def test_the_numbers_are_those_of_the_rows_on_postgresql(site_database: Database, tmp_path: Path) -> None:
    """The same there, where the percentiles are the database's own."""
    env = {"DATABASE_URL": site_database.url, "DATA_DIR": str(tmp_path), "SECRET_KEY": uuid.uuid4().hex * 2}
    told = manage(
        env,
        "shell",
        "-c",
        "from tests.site import random_runs; [random_runs.check(seed) for seed in range(2)]; print('all right')",
    )
    assert "all right" in told
    assert site_database.query("SELECT count(*) FROM chat_run")[0]["count"] > 100


def test_one_query_tells_all_however_many_runs_there_are(superuser: User) -> None:
    def queries(by: Dimension) -> int:
        with CaptureQueriesContext(connection) as captured:
            report(superuser, last_days(30), Selection(), by)
        return len(captured)

    random_runs.fill(random.Random(1), count=5)
    few = [queries(by) for by in Dimension]
    assert few == [1, 1, 1, 2]
    random_runs.fill(random.Random(2), count=60)
    assert [queries(by) for by in Dimension] == few


def test_the_busiest_are_shown_and_the_others_counted(superuser: User) -> None:
    for number in range(MOST_GROUPS + 5):
        for turn in range(1 + (number == 7)):
            session = make_session(superuser, f"s{number}-{turn}")
            session.runs.update(agent=f"agent {number}")
    told = report(superuser, last_days(7), Selection(), Dimension.AGENT)
    assert len(told.groups) == MOST_GROUPS
    assert told.group_count == MOST_GROUPS + 5
    assert told.groups[0][0] == "agent 7"


def test_steps_are_counted_as_they_are_recorded(owner: User) -> None:
    """The roll-up that is kept with each step is the one that is made of all steps afterwards."""
    session = make_session(owner)
    run = session.runs.get()
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING, ended_at=None, attempt=1)
    tool_counts.rebuild()
    number = Event.objects.filter(run=run, step__isnull=False).count()
    for tools in (["clock"], ["clock", "clock", "fetch_url"], ["calculator"]):
        steps = []
        for tool in tools:
            number += 2
            error = number % 4 == 1
            steps += [
                Step(number=number - 1, type=StepType.TOOL_USE, content="", iteration=1, tool_name=tool),
                Step(number=number, type=StepType.TOOL_RESULT, content="", iteration=1, tool_name=tool, is_error=error),
            ]
        events.record_steps(str(run.pk), attempt=1, steps=steps)

    def kept() -> tuple[list[tuple[str, int, int]], tuple[int, int]]:
        rows = ToolCount.objects.order_by("tool_name").values_list("tool_name", "calls", "errors")
        return list(rows), Run.objects.values_list("tool_calls", "tool_errors").get(pk=run.pk)

    counted = kept()
    assert [(name, calls) for name, calls, _ in counted[0]] == [("calculator", 2), ("clock", 3), ("fetch_url", 1)]
    assert counted[1][1] > 0
    assert tool_counts.rebuild([run.pk]) == 1
    assert kept() == counted
    ToolCount.objects.all().delete()
    Run.objects.update(tool_calls=99)
    said = io.StringIO()
    call_command("rebuildtoolcounts", stdout=said)
    assert said.getvalue() == "Counted 1 runs anew.\n"
    assert kept() == counted


def test_a_step_that_is_not_recorded_is_not_counted(owner: User) -> None:
    make_session(owner)
    run = Run.objects.get()
    with transaction.atomic():
        tool_counts.add(run, [Step(number=9, type=StepType.TOOL_USE, content="", iteration=1, tool_name="clock")])
        assert ToolCount.objects.filter(tool_name="clock").exists()
        transaction.set_rollback(True)
    assert not ToolCount.objects.filter(tool_name="clock").exists()


def test_periods_are_whole_hours_or_days_up_to_now() -> None:
    now = timezone.now()
    for period, count in ((last_hours(24), 24), (last_days(7), 7), (last_days(90), 90)):
        moments = list(period.moments())
        assert len(moments) == count
        assert moments[0][0] == period.start
        assert moments[-1][1] == period.end
        assert period.start < now < period.end
        assert moments[-1][0] <= now
    today = timezone.localdate()
    assert len(list(between(today, today).moments())) == 24
    assert len(list(between(today.replace(day=1), today.replace(day=28)).moments())) == 28


def test_a_percentile_lies_on_the_line_between_two_values() -> None:
    assert continuous([], 0.5) is None
    assert continuous([3], 0.95) == 3
    assert continuous([4, 1], 0.5) == 2.5
    assert continuous([1, 2, 3, 4], 0.95) == pytest.approx(3.85)
