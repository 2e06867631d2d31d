"""The admin shows sessions, runs and events, and lets nobody touch them."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chat.models import ChatSession, Event, Run
from reasoning_site.first_admin import first_admin_path
from tests.site.rows import client_of, make_session

MODELS = ["chatsession", "run", "event"]
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


@pytest.fixture
def client(superuser: User) -> Client:
    client = Client()
    client.force_login(superuser)
    return client


def row_of(name: str) -> ChatSession | Run | Event:
    models: dict[str, type[ChatSession | Run | Event]] = {"chatsession": ChatSession, "run": Run, "event": Event}
    row = models[name]._default_manager.first()
    assert row is not None
    return row


def url(name: str, page: str, *args: object) -> str:
    return reverse(f"admin:chat_{name}_{page}", args=args)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_can_be_added_changed_or_deleted_by_a_superuser(name: str, client: Client, owner: User) -> None:
    make_session(owner)
    row = row_of(name)
    before = type(row)._default_manager.values().first()
    assert client.get(url(name, "add")).status_code == 403
    assert client.post(url(name, "add"), {}).status_code == 403
    assert client.post(url(name, "change", row.pk), {"title": "x", "message": "x", "content": "x"}).status_code == 403
    assert client.post(url(name, "delete", row.pk), {"post": "yes"}).status_code == 403
    client.post(url(name, "changelist"), {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"})
    assert type(row)._default_manager.values().first() == before
    page = client.get(url(name, "change", row.pk))
    assert page.status_code == 200
    assert 'type="submit"' not in page.text.partition('id="content"')[2]


def test_a_user_with_sessions_is_not_deleted_with_them(client: Client, owner: User) -> None:
    make_session(owner)
    client.post(reverse("admin:auth_user_delete", args=[owner.pk]), {"post": "yes"})
    assert User.objects.filter(pk=owner.pk).exists()
    assert Event.objects.count() == 3


def test_a_session_leads_to_its_runs_and_events_and_to_no_others(client: Client, owner: User, other: User) -> None:
    session = make_session(owner, "mine", text="first text")
    make_session(other, "theirs", text="second text")
    page = client.get(url("chatsession", "change", session.pk)).text
    for name in ("run", "event"):
        address = f"{url(name, 'changelist')}?session__id__exact={session.pk}"
        assert f'href="{address}"' in page
        listed = client.get(address)
        assert listed.status_code == 200
        assert "first text" in listed.text
        assert "second text" not in listed.text
    run = session.runs.get()
    assert f"{url('event', 'changelist')}?run__id__exact={run.pk}" in client.get(url("run", "change", run.pk)).text


@pytest.mark.parametrize(
    ("name", "words"),
    [("chatsession", "needle"), ("chatsession", "owner"), ("run", "needle"), ("event", "needle"), ("event", "hammer")],
)
def test_search_finds_by_what_was_said_and_who_said_it(
    name: str, words: str, client: Client, owner: User, other: User
) -> None:
    make_session(owner, "mine", text="a needle", tool="hammer")
    make_session(other, "theirs", text="hay")
    page = client.get(url(name, "changelist"), {"q": words}).text
    assert "a needle" in page
    assert "hay" not in page.partition('id="result_list"')[2]


@pytest.mark.parametrize(("name", "filters"), [("run", "state__exact=failed"), ("event", "step_type__exact=thought")])
def test_filters_leave_out_the_rest(name: str, filters: str, client: Client, owner: User) -> None:
    make_session(owner)
    assert 'id="result_list"' in client.get(url(name, "changelist")).text
    assert 'id="result_list"' not in client.get(f"{url(name, 'changelist')}?{filters}").text


@pytest.mark.parametrize("name", MODELS)
def test_a_list_asks_the_database_as_often_for_many_rows_as_for_one(name: str, client: Client, owner: User) -> None:
    def queries(**filters: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url(name, "changelist"), filters).status_code == 200
        return len(captured)

    make_session(owner)
    few = queries(), queries(q="text")
    for number in range(8):
        make_session(User.objects.create_user(f"user-{number}"), f"more-{number}", tool=f"tool-{number}")
    assert (queries(), queries(q="text")) == few


def test_the_admin_goes_by_the_name_of_the_site(client: Client) -> None:
    page = client.get(reverse("admin:index")).text
    assert "Django administration" not in page
    assert "Glassbox" in page.partition("</title>")[0]


def test_a_row_of_a_list_says_what_it_is(client: Client, owner: User) -> None:
    session = make_session(owner, text="What is 6*7? " + "and so on " * 20)
    run = session.runs.get()
    events = client.get(url("event", "changelist")).text
    for label in ("1. message", "2. tool use", "3. run ended"):
        assert f">{label}</a>" in events
    assert str(session.events.first()) not in events
    runs = client.get(url("run", "changelist")).text
    assert ">What is 6*7? and so on" in runs
    assert f">{run.pk}<" not in runs
    longest = [len(text) for text in re.findall(r">(What is [^<]*)<", events + runs)]
    assert longest
    assert max(longest) <= 40


def test_the_page_of_the_first_admin_says_how_long_its_link_works(db: None) -> None:
    path = first_admin_path()
    assert path
    hours = settings.FIRST_ADMIN_SECONDS // 3600
    assert f"works once, within {hours} hours" in Client().get(path).text


@pytest.mark.parametrize("name", MODELS)
def test_hostile_content_is_never_markup(name: str, client: Client) -> None:
    make_session(User.objects.create(username=HOSTILE), text=HOSTILE[:120], tool=HOSTILE)
    row = row_of(name)
    pages = [client.get(url(name, "changelist")), client.get(url(name, "changelist"), {"q": HOSTILE})]
    pages += [client.get(url(name, page, row.pk)) for page in ("change", "history")]
    pages += [client.get(url(name, "change", event.pk)) for event in Event.objects.all() if name == "event"]
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
    assert "&lt;script&gt;alert(1)" in pages[0].text


@pytest.mark.parametrize("lookup", ["regex", "iregex"])
def test_no_address_looks_for_a_regular_expression(superuser: User, lookup: str) -> None:
    """On SQLite it would be Python that looks, for as long as the expression's author likes."""
    client = client_of(superuser)
    for model in admin.site._registry:
        column = next(field.name for field in model._meta.concrete_fields if not field.is_relation)
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for query in ({f"{column}__{lookup}": "^(a+)+$"}, {f"{column}__{lookup}": "", "p": "1"}):
            assert client.get(address, query).status_code == 400, address
    assert client.get("/admin/dashboard/", {f"user__{lookup}": "a"}).status_code == 400
    assert client.get(reverse("admin:chat_run_changelist"), {"message__contains": "regex"}).status_code == 200
