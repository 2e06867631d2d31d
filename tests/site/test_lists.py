"""What the lists of sessions, runs and events show, how they are used, and what they ask of the database.

Runs on PostgreSQL as well: `test_lists_on_postgresql.py`.
"""

from __future__ import annotations

import re
import uuid

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat.admin import capped_paginator
from chat.models import ChatSession, Event, Feedback
from tests.site.lists import LISTS, count_of, page, two
from tests.site.rows import make_session

__all__ = ["two"]


def filled(owner: User, count: int) -> None:
    """So many sessions, runs and steps, each with all that a list shows."""
    sessions = [
        make_session(
            owner,
            f"many-{uuid.uuid4().hex}",
            text="everywhere",
            of_run={"started_at": timezone.now()},
            of_step={"duration": 1},
        )
        for _ in range(count)
    ]
    Feedback.objects.bulk_create(Feedback(run=session.runs.get(), thumb=Feedback.UP) for session in sessions)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "query", [{}, {"q": "everywhere"}, {"tool": "calculator", "feedback": "up", "duration_to": "9"}], ids=str
)
def test_a_list_of_a_hundred_rows_asks_as_often_as_one_of_one_row(
    name: str, query: dict[str, str], admin_client: Client, owner: User
) -> None:
    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            page(admin_client, name, all="", **query)
        return [one["sql"] for one in captured]

    filled(owner, 1)
    few = queries()
    filled(owner, 99)
    many = queries()
    assert len(many) == len(few), "\n".join(many)
    assert count_of(admin_client, name, **query).startswith(("100 ", "300 "))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_reads_no_long_texts(name: str, admin_client: Client, owner: User) -> None:
    long = {"content": "c" * 100_000, "data": {"arguments": "a" * 100_000}}
    make_session(owner, text="x", of_run={"message": "m" * 100_000}, of_step=long)
    with CaptureQueriesContext(connection) as captured:
        assert page(admin_client, name).count("mmm") < 100
    for query in captured:
        assert not re.search(r'(?<!\()"chat_(event|run)"."(content|data|message)",', query["sql"])


@pytest.mark.parametrize("name", LISTS)
def test_a_long_list_is_not_counted_to_its_end(
    name: str, admin_client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.admin.transcript_list.LONGEST_LIST", 3)
    monkeypatch.setattr("chat.admin.transcript_list.LONGEST_SEARCH", 2)
    filled(owner, 5)
    assert count_of(admin_client, name).startswith("more than 3 ")
    assert count_of(admin_client, name, q="everywhere").startswith("more than 2 ")
    assert "more than 2 results" in page(admin_client, name, q="everywhere")
    assert count_of(admin_client, name, user="nobody").startswith("0 ")


def test_the_last_page_of_a_long_list_is_the_last_that_is_counted(admin_client: Client, owner: User) -> None:
    paginator = capped_paginator.CappedPaginator(Event.objects.order_by("pk"), 2, most=3)
    make_session(owner)
    make_session(owner, "s2")
    assert (paginator.count, paginator.num_pages, paginator.has_more) == (3, 2, True)


def test_columns_say_what_a_run_took(admin_client: Client, two: tuple[ChatSession, ChatSession]) -> None:
    runs = page(admin_client, "run", user="owner")
    for text in ("50.0 s", ">1,000<", "$0.5000", "down, with a comment", "failed (time_limit)", ">2<"):
        assert text.lower() in runs.lower(), text
    sessions = page(admin_client, "chatsession", user="owner")
    for text in ("50.0 s", ">1,000<", "$0.5000", ">1 down<", ">2<", "(private)"):
        assert text in sessions, text
    events = page(admin_client, "event", user="owner", type="step")
    for text in ("50.0 s", ">1,000<", "$0.5000", "tool result, failed", ">hammer<", ">owner<"):
        assert text in events, text


@pytest.mark.parametrize(("name", "columns"), [("run", 3), ("event", 3)])
def test_columns_sort_the_largest_first_and_the_empty_last(
    name: str, columns: int, admin_client: Client, two: tuple[ChatSession, ChatSession], owner: User
) -> None:
    make_session(owner, "empty")
    numbers = {int(number) for number in re.findall(r'href="\?o=-?(\d+)"', page(admin_client, name))}
    address = reverse(f"admin:chat_{name}_changelist")
    by_time = len(admin_client.get(address).context["cl"].list_display) - 1
    assert by_time in numbers
    assert len(numbers - {by_time}) == columns
    of_steps = {"type": "step"} if name == "event" else {}
    for number in numbers - {by_time}:
        rows = admin_client.get(address, {"o": f"-{number}", **of_steps}).context["cl"].result_list
        assert rows[0].session.public_id == "wanted"
        assert rows[-1].session.public_id != "wanted"
        rows = admin_client.get(address, {"o": str(number), **of_steps}).context["cl"].result_list
        assert rows[-1].session.public_id == "wanted"


def test_a_session_leads_to_its_runs_a_run_to_its_steps_and_all_to_the_transcript(
    admin_client: Client, owner: User
) -> None:
    session = make_session(owner)
    run = session.runs.get()
    assert f'href="/admin/chat/run/?session__id__exact={session.pk}"' in page(admin_client, "chatsession")
    assert f'href="/admin/chat/event/?session__id__exact={session.pk}"' in page(admin_client, "chatsession")
    assert f'href="/admin/chat/event/?run__id__exact={run.pk}"' in page(admin_client, "run")
    in_order = (
        admin_client.get(reverse("admin:chat_event_changelist"), {"run__id__exact": str(run.pk)})
        .context["cl"]
        .result_list
    )
    assert [event.seq for event in in_order] == [1, 2, 3]
    for name in LISTS:
        assert f'href="/admin/chat/chatsession/{session.pk}/' in page(admin_client, name)


@pytest.mark.parametrize("name", LISTS)
def test_filters_keep_each_other_and_are_labelled(
    name: str, admin_client: Client, two: tuple[ChatSession, ChatSession]
) -> None:
    """Each small form carries the other filters along, each field has a label, and each that holds can be taken away."""
    text = page(admin_client, name, agent="writer", state="failed", q="needle")
    filters = text.partition('id="changelist-filter"')[2].partition("</nav>")[0]
    forms = re.findall(r"<form.*?</form>", filters, re.DOTALL)
    assert len(forms) >= 8
    for form in forms:
        for field in re.findall(r'<input (?!type="hidden")[^>]*id="([^"]+)"', form):
            assert f'for="{field}"' in form
        others = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
        assert others["q"] == "needle"
        assert others["state"] == "failed"
        is_of_agent = 'id="filter-agent"' in form
        assert ("agent" in others) != is_of_agent
        assert ('value="writer"' in form) == (is_of_agent or "agent" in others)
    assert 'href="?q=needle&amp;state=failed"' in filters
