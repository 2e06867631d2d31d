"""Legal holds in the admin: placed with a reason, lifted once, and otherwise neither changed nor deleted."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from chat.models import ChatSession, Feedback, LegalHold, Reading
from chat.rights import make_groups
from tests.site.rows import make_session

ADD = "/admin/chat/legalhold/add/"


@pytest.fixture
def auditor(db: None) -> User:
    return member_of("auditor")


def member_of(group: str) -> User:
    make_groups()
    user = User.objects.create_user(group, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_an_auditor_places_a_hold_with_a_reason_and_lifts_it_once(auditor: User, owner: User) -> None:
    session = make_session(owner)
    client = signed_in(auditor)
    assert client.get(ADD).status_code == 200
    assert client.post(ADD, {"session": session.pk, "user": "", "reason": "a trial"}).status_code == 302
    hold = LegalHold.objects.get()
    assert (hold.session, hold.user, hold.reason, hold.placed_by, hold.lifted_at) == (
        session,
        None,
        "a trial",
        auditor,
        None,
    )

    page = client.get(f"/admin/chat/legalhold/{hold.pk}/change/").text
    assert "Lift this hold" in page
    assert "a trial" in page
    lift = f"/admin/chat/legalhold/{hold.pk}/lift/"
    assert client.get(lift).status_code == 405
    assert client.post(lift).status_code == 302
    hold.refresh_from_db()
    assert hold.lifted_by == auditor
    assert hold.lifted_at is not None
    lifted_at = hold.lifted_at
    client.post(lift)
    hold.refresh_from_db()
    assert hold.lifted_at == lifted_at
    assert "Lift this hold" not in client.get(f"/admin/chat/legalhold/{hold.pk}/change/").text
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")][1:] == ["Lifted."]


@pytest.mark.parametrize("given", [{}, {"session": True, "user": True}, {"session": True, "reason": ""}])
def test_a_hold_is_of_a_session_or_a_user_and_says_why(given: dict[str, object], auditor: User, owner: User) -> None:
    session = make_session(owner)
    form = {
        "session": session.pk if "session" in given else "",
        "user": owner.pk if "user" in given else "",
        "reason": given.get("reason", "a trial"),
    }
    assert signed_in(auditor).post(ADD, form).status_code == 200
    assert not LegalHold.objects.exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        LegalHold.objects.create(reason="neither")


def test_what_one_may_not_read_one_cannot_hold_and_a_title_is_never_told(staff: User, owner: User) -> None:
    names = ["view_chatsession", "view_legalhold", "add_legalhold", "view_reading"]
    staff.user_permissions.set(Permission.objects.filter(codename__in=names))
    session = make_session(owner, "private-one", text="a secret title")
    ChatSession.objects.update(is_private=True)
    client = signed_in(staff)
    page = client.post(ADD, {"session": session.pk, "user": "", "reason": "a trial"})
    assert page.status_code == 200
    assert not LegalHold.objects.exists()
    hold = LegalHold.objects.create(session=session, reason="a trial")
    for address in ("/admin/chat/legalhold/", f"/admin/chat/legalhold/{hold.pk}/change/"):
        page = client.get(address)
        assert "private-one" in page.text
        assert "a secret title" not in page.text


@pytest.mark.parametrize("group", ["viewer", "operator"])
def test_others_neither_place_nor_lift(group: str, owner: User) -> None:
    hold = LegalHold.objects.create(user=owner, reason="a trial")
    client = signed_in(member_of(group))
    assert client.post(ADD, {"session": "", "user": owner.pk, "reason": "x"}).status_code == 403
    assert client.post(f"/admin/chat/legalhold/{hold.pk}/lift/").status_code == 403
    hold.refresh_from_db()
    assert hold.lifted_at is None
    assert LegalHold.objects.count() == 1


def test_what_is_held_goes_with_nothing(owner: User, other: User) -> None:
    """Whoever deletes beside all rules, by the queries, is refused as well."""
    session = make_session(owner)
    LegalHold.objects.create(session=session, reason="a trial")
    make_session(other, "s2")
    LegalHold.objects.create(user=other, reason="a trial")
    for row in (session, owner, other):
        with pytest.raises(ProtectedError):
            row.delete()
    assert ChatSession.objects.count() == 2


def test_a_list_asks_the_database_as_often_for_many_as_for_one(superuser: User, owner: User) -> None:
    client = signed_in(superuser)

    def queries(model: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse(f"admin:chat_{model}_changelist")).status_code == 200
        return len(captured)

    def add(number: int) -> None:
        session = make_session(owner, f"s{number}")
        LegalHold.objects.create(session=session, reason="a trial", placed_by=superuser)
        LegalHold.objects.create(user=User.objects.create_user(f"u{number}"), reason="a trial")
        Reading.objects.create(how=Reading.How.READ, reader=superuser, owner=owner, session=session)
        Feedback.objects.create(run=session.runs.get(), thumb=Feedback.UP)

    add(0)
    models = ("legalhold", "reading", "feedback", "retentionrule")
    few = [queries(model) for model in models]
    for number in range(1, 8):
        add(number)
    assert [queries(model) for model in models] == few
