"""The page of operations and its buttons: for whom, of what, and what is recorded. Real workers are in `tests/servers`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat.admin.operation_tables import spelled
from chat.models import ChatSession, Event, EventType, OpenSocket, Process, Reading, Run, RunState, SiteNotice
from tests.site.rows import client_of

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
VIEWS = ["view_chatsession", "view_run", "view_event"]


@pytest.fixture
def operator(staff: User) -> User:
    """May view and operate, but not read what is private."""
    staff.user_permissions.set(Permission.objects.filter(codename__in=[*VIEWS, "operate_run"]))
    return User.objects.get(pk=staff.pk)


def signed_in(user: User) -> Client:
    """A browser that does not check CSRF tokens: those are tried on their own."""
    client = Client()
    client.force_login(user)
    return client


def run_of(
    owner: User, state: RunState, public_id: str = "s1", *, tool: str = "", is_error: bool = False, **fields: Any
) -> Run:
    """A run in this state, in a session of its own; with the result of a tool, if one is named."""
    session = ChatSession.objects.create(public_id=public_id, owner=owner, title="Text", agent="researcher", head=2)
    now = timezone.now()
    defaults = {
        "state": state,
        "started_at": None if state == RunState.QUEUED else now,
        "ended_at": None if state in (RunState.QUEUED, RunState.RUNNING) else now,
        "agent": "researcher",
    }
    run = Run.objects.create(session=session, client_id="c1", seq=1, message="Text", **{**defaults, **fields})
    about: dict[str, Any] = {"session": session, "run": run, "content": "Text", "created_at": now}
    Event.objects.create(seq=1, type=EventType.MESSAGE, **about)
    result = {"step": 1, "step_type": "tool_result", "tool_name": tool, "data": {"is_error": True} if is_error else {}}
    Event.objects.create(seq=2, type=EventType.STEP, **about, **result)
    return run


def press(client: Client, action: str, run: Run, **form: str) -> Any:
    return client.post(reverse("admin:operate_run", args=[run.pk, action]), form, follow=True)


def test_a_queued_run_is_taken_back_recorded_and_says_who_it_was(operator: User, owner: User) -> None:
    run = run_of(owner, RunState.QUEUED)
    page = press(signed_in(operator), "stop", run)
    assert "Taken back before it began." in page.text
    run.refresh_from_db()
    assert (run.state, run.stop_asked_by_operator) == (RunState.STOPPED, True)
    end = Event.objects.get(run=run, type=EventType.RUN_END)
    assert end.data["by"] == "operator"
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.get_change_message()) == (
        operator,
        str(run.pk),
        "Stopped by an operator.",
    )
    reading = Reading.objects.get()
    assert (reading.reader, reading.owner, reading.how, reading.run_id) == (
        operator,
        owner,
        Reading.How.OPERATED,
        run.pk,
    )


@pytest.mark.parametrize(
    ("action", "state", "fields", "sentence"),
    [
        ("stop", RunState.COMPLETED, {}, "It has ended already: completed."),
        ("take-over", RunState.FAILED, {}, "It has ended already: failed."),
        ("take-over", RunState.QUEUED, {}, "there is no worker to take it from"),
        ("take-over", RunState.RUNNING, {"lease_until": None, "worker": "w"}, "waits for another"),
        ("retry", RunState.COMPLETED, {}, "It was answered"),
        ("retry", RunState.RUNNING, {}, "It has not ended yet."),
        ("retry", RunState.STOPPED, {"started_at": None}, "Its user took it back"),
        ("retry", RunState.FAILED, {"agent": "nobody"}, "There is no agent nobody any more."),
    ],
)
def test_what_makes_no_sense_is_said_and_not_recorded(
    operator: User, owner: User, action: str, state: RunState, fields: dict[str, Any], sentence: str
) -> None:
    run = run_of(owner, state, **fields)
    assert sentence in press(signed_in(operator), action, run).text
    assert not LogEntry.objects.exists()
    assert not Reading.objects.exists()
    assert Run.objects.count() == 1


def test_a_run_that_is_taken_is_fenced_at_once_and_asked_to_stop_once(operator: User, owner: User) -> None:
    """The attempt of the worker before is void with the click, and nothing counts as lost."""
    run = run_of(owner, RunState.RUNNING, attempt=1, worker="w", lease_until=timezone.now() + timedelta(hours=1))
    client = signed_in(operator)
    assert "goes on from the log" in press(client, "take-over", run).text
    run.refresh_from_db()
    assert (run.attempt, run.losses, run.lease_until, run.worker) == (2, 0, None, "w")
    # Nobody drives it now, so a stop is its end.
    press(client, "stop", run)
    run.refresh_from_db()
    assert run.stop_asked_by_operator
    assert "asked to stop already" in press(client, "stop", run).text
    assert LogEntry.objects.count() == 2


def test_who_may_not_operate_or_not_read_the_session_gets_nowhere(
    operator: User, owner: User, other: User, staff: User
) -> None:
    """Viewers get a 403, whoever may not read it a 404, nobody else gets in; a form without a token is refused."""
    run = run_of(owner, RunState.QUEUED)
    path = reverse("admin:operate_run", args=[run.pk, "stop"])
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=VIEWS))
    assert signed_in(viewer).post(path).status_code == 403
    assert signed_in(other).post(path).status_code == 302
    assert Client().post(path).status_code == 302
    assert client_of(operator).post(path).status_code == 403
    ChatSession.objects.update(is_private=True)
    assert signed_in(operator).post(path).status_code == 404
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    ChatSession.objects.update(is_private=False)
    assert signed_in(operator).post(path.replace("/stop/", "/dance/")).status_code == 404
    assert signed_in(operator).get(path).status_code == 405
    assert signed_in(operator).post(path, {"next": "https://example.org/"})["Location"] == reverse("admin:operations")


def test_the_list_of_runs_has_the_actions_for_operators_alone(operator: User, owner: User) -> None:
    run = run_of(owner, RunState.QUEUED)
    chosen = {"action": "stop_runs", "_selected_action": str(run.pk)}
    path = reverse("admin:chat_run_changelist")
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(Permission.objects.filter(codename__in=VIEWS))
    signed_in(viewer).post(path, chosen)
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    page = signed_in(operator).post(path, chosen, follow=True)
    assert "Taken back before it began." in page.text
    run.refresh_from_db()
    assert run.state == RunState.STOPPED


def test_a_run_s_page_has_the_buttons_that_make_sense(operator: User, owner: User) -> None:
    run = run_of(owner, RunState.FAILED)
    path = reverse("admin:chat_run_change", args=[run.pk])
    page = signed_in(operator).get(path).text
    assert 'data-action="retry"' in page
    assert 'data-action="stop"' not in page
    operator.user_permissions.set(Permission.objects.filter(codename__in=VIEWS))
    assert 'data-action="retry"' not in signed_in(operator).get(path).text


def tables(client: Client) -> dict[str, list[list[str]]]:
    """What the script of the page gets: texts by table and row."""
    found = client.get(reverse("admin:operations_now")).json()["tables"]
    return {table["name"]: [[cell["text"] for cell in row["cells"]] for row in table["rows"]] for table in found}


def test_the_page_tells_what_waits_runs_and_fails(operator: User, owner: User) -> None:
    now = timezone.now()
    hour = timedelta(hours=1)
    run_of(owner, RunState.QUEUED, "q", created_at=now - timedelta(minutes=2, seconds=5), tool="hammer", is_error=True)
    lease: dict[str, Any] = {"worker": "web-1-ab-cd", "lease_until": now + hour}
    run_of(owner, RunState.RUNNING, "a", attempt=2, losses=1, tool="hammer", **lease)
    lease = {"worker": "gone-1-ab-cd", "lease_until": now - timedelta(minutes=3)}
    run_of(owner, RunState.RUNNING, "d", tool="hammer", **lease)
    run_of(owner, RunState.FAILED, "f", error_code="lost", model="m1", tool="hammer")
    run_of(owner, RunState.FAILED, "o", error_code="timeout", model="m1", tool="saw", ended_at=now - 2 * hour)
    process = Process.objects.create(name="web-1-ab", kind="web", seen_at=now)
    OpenSocket.objects.create(process=process, user=owner, opened_at=now)
    Process.objects.create(name="worker-1", kind="worker", seen_at=now - hour)
    found = tables(signed_in(operator))
    assert found["totals"] == [["Waiting", "1"], ["Under way", "1"], ["Dead", "1"]]
    (queue,) = found["queues"]
    assert queue[1:4] == ["default", "1", "1"]
    assert queue[4].startswith("2 min")
    assert [row[1:3] + row[5:7] for row in found["runs-active"]] == [
        ["owner", "researcher", "2, 1 lost", "web-1-ab-cd"]
    ]
    assert found["runs-lost"][0][7].startswith("passed 3 min")
    assert [row[3] for row in found["runs-given-up"]] == ["Failed, lost"]
    assert [[row[0], row[1], row[2], row[4], row[5]] for row in found["processes"]] == [
        ["web-1-ab", "web server", "alive", "1", "1"],
        ["worker-1", "worker", "not heard of", "0", "0"],
        ["gone-1-ab", "gone", "not heard of", "0", "1"],
    ]
    assert sorted(found["failures"]) == [["lost", "1", "1"], ["timeout", "0", "1"]]
    assert found["models"] == [["m1", "1 of 1 (100 %)", "2 of 2 (100 %)"]]
    hammer, saw = "1 of 4 (25 %)", "0 of 1 (0 %)"
    assert found["tools"] == [["hammer", hammer, hammer], ["saw", saw, saw]]


def test_private_sessions_are_counted_and_not_listed(operator: User, owner: User) -> None:
    run = run_of(owner, RunState.RUNNING, lease_until=timezone.now() + timedelta(hours=1))
    ChatSession.objects.update(is_private=True)
    client = signed_in(operator)
    assert tables(client)["runs-active"] == []
    assert tables(client)["totals"][1] == ["Under way", "1"]
    assert str(run.pk) not in client.get(reverse("admin:operations")).text


def test_the_page_asks_the_database_as_often_for_many_rows_as_for_one(operator: User, owner: User) -> None:
    client = signed_in(operator)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse("admin:operations")).status_code == 200
        return len(captured)

    states = [RunState.QUEUED, RunState.RUNNING, RunState.FAILED]
    for state in states:
        run_of(owner, state, f"one-{state}", error_code="lost" if state == RunState.FAILED else "")
    few = queries()
    for number in range(5):
        for state in states:
            somebody = User.objects.create_user(f"{state}-{number}")
            run_of(somebody, state, f"{state}-{number}", error_code="lost" if state == RunState.FAILED else "")
    assert queries() == few


def test_hostile_names_are_never_markup(operator: User) -> None:
    somebody = User.objects.create(username=HOSTILE[:140])
    named: dict[str, Any] = {"model": HOSTILE[:120], "agent": "<b>", "worker": HOSTILE[:60], "error_code": "<i>x</i>"}
    for state in (RunState.FAILED, RunState.RUNNING, RunState.QUEUED):
        run_of(somebody, state, f"s-{state}", tool=HOSTILE, **named)
    run_of(somebody, RunState.FAILED, "lost", **{**named, "error_code": "lost"})
    page = signed_in(operator).get(reverse("admin:operations")).text
    assert "&lt;img" in page
    for piece in ("<script>alert", "<img", "<b>", "<i>x"):
        assert piece not in page


def test_announcements_are_written_signed_and_withdrawn_by_those_who_may(staff: User, superuser: User) -> None:
    client = signed_in(superuser)
    client.post(reverse("admin:chat_sitenotice_add"), {"text": "Soon.", "level": "info"})
    notice = SiteNotice.objects.get()
    assert (notice.created_by, notice.withdrawn_at) == (superuser, None)
    path = reverse("admin:chat_sitenotice_changelist")
    chosen = {"action": "withdraw", "_selected_action": str(notice.pk)}
    staff.user_permissions.set(Permission.objects.filter(codename="view_sitenotice"))
    signed_in(staff).post(path, chosen)
    notice.refresh_from_db()
    assert notice.withdrawn_at is None
    client.post(path, chosen)
    notice.refresh_from_db()
    assert notice.withdrawn_at is not None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3 * 3600 + 61, "3 h 1 min"), (90061, "1 d 1 h")],
)
def test_spans_are_said_in_their_two_largest_units(seconds: int, words: str) -> None:
    assert spelled(timedelta(seconds=seconds)) == words
