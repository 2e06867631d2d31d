"""The filters of the lists of sessions, runs and events. Runs on PostgreSQL as well: `test_lists_on_postgresql.py`."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from chat.models import ChatSession, Run, RunState
from tests.site.lists import LISTS, count_of, found, page, two
from tests.site.rows import make_session

__all__ = ["two"]

ABOUT_ALL: list[dict[str, str]] = [
    {"user": "owner"},
    {"agent": "writer"},
    {"model": "openai:big"},
    {"tool": "hammer"},
    {"state": "failed"},
    {"error": "time_limit"},
    {"failed_tools": "some"},
    {"time_to": "2020-12-31T00:00"},
    {"time_from": "2020-05-17T12:00:00", "time_to": "2020-05-17T12:00:00"},
    {"duration_from": "50"},
    {"duration_from": "49.5", "duration_to": "50.5"},
    {"tokens_from": "1000", "tokens_to": "1000"},
    {"cost_from": "0.5"},
    {"feedback": "down"},
    {"feedback": "comment"},
    {"private": "yes"},
    {"agent": "writer", "tool": "hammer", "state": "failed", "user": "owner", "private": "yes", "q": "needle"},
]


@pytest.mark.parametrize("query", ABOUT_ALL, ids=str)
@pytest.mark.parametrize("name", LISTS)
def test_a_filter_finds_what_it_names_and_nothing_else(
    name: str, query: dict[str, str], admin_client: Client, two: tuple[ChatSession, ChatSession]
) -> None:
    assert found(admin_client, name, **query) == {"wanted"}


ABOUT_THE_OTHER: list[dict[str, str]] = [
    {"age": "1h"},
    {"age": "365d"},
    {"time_from": "2021-01-01T00:00"},
    {"duration_to": "1.5"},
    {"tokens_to": "999"},
    {"cost_to": "0.1"},
    {"feedback": "none"},
    {"private": "no"},
    {"state": "completed"},
]


@pytest.mark.parametrize("query", ABOUT_THE_OTHER, ids=str)
@pytest.mark.parametrize("name", LISTS)
def test_the_other_end_of_a_filter_finds_the_other(
    name: str, query: dict[str, str], admin_client: Client, two: tuple[ChatSession, ChatSession]
) -> None:
    assert found(admin_client, name, **query) == {"unwanted"}


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"type": "message"}, 2),
        ({"type": "step"}, 2),
        ({"step_type": "tool_result"}, 1),
        ({"step_type": "thought"}, 0),
        ({"run__id__exact": ""}, 6),
    ],
)
def test_events_are_found_by_their_kind(
    query: dict[str, str], rows: int, admin_client: Client, two: tuple[ChatSession, ChatSession]
) -> None:
    query = {name: value for name, value in query.items() if value}
    assert count_of(admin_client, "event", **query) == f"{rows} event{'s' if rows != 1 else ''}"


@pytest.mark.parametrize("name", ["chatsession", "run"])
def test_filters_about_a_run_hold_for_the_same_run(name: str, admin_client: Client, owner: User) -> None:
    """A session with a failed run of one agent and a good run of another has no failed run of the other."""
    session = make_session(owner, of_run={"agent": "writer", "state": RunState.FAILED})
    Run.objects.create(
        session=session,
        client_id="c2",
        seq=9,
        message="x",
        agent="analyst",
        state=RunState.COMPLETED,
        ended_at=timezone.now(),
    )
    assert found(admin_client, name, agent="writer", state="failed") == {"s1"}
    assert found(admin_client, name, agent="analyst", state="failed") == set()


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "query",
    [
        {"duration_from": "fast"},
        {"cost_from": "-1"},
        {"tokens_to": "1e999"},
        {"tokens_from": "nan"},
        {"time_from": "yesterday"},
        {"time_from": "9999-12-31T23:59:59", "time_to": "0001-01-01T00:00"},
        {"state": "undecided"},
        {"feedback": "x"},
        {"user": "\0"},
        {"agent": "x" * 5000},
        {"q": "\0"},
    ],
    ids=str,
)
def test_what_no_filter_can_read_breaks_nothing(
    name: str, query: dict[str, str], admin_client: Client, two: tuple[ChatSession, ChatSession]
) -> None:
    """It finds nothing and says so at its field; an empty search is none."""
    text = page(admin_client, name, **query)
    if any(value.strip("\0") for value in query.values()):
        assert found(admin_client, name, **query) == set()
    if query.keys() & {"duration_from", "cost_from", "tokens_to"}:
        assert 'aria-invalid="true"' in text
        assert 'class="error"' in text
