"""An account in the admin, and for its owner: all of it is taken out, or erased, by whom that is for, and goes in no other way."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core.cache import cache
from django.db import connection
from django.test import AsyncClient, Client

from chat import erasure, personal_export
from chat.models import ChatSession, Event, LegalHold, Reading, Run, RunState
from chat.rights import GROUPS, make_groups
from reasoning_site import own_data
from tests.site.rows import client_of, make_session


@pytest.fixture
def groups(db: None) -> dict[str, User]:
    make_groups()
    users = {}
    for name in GROUPS:
        users[name] = User.objects.create_user(name, is_staff=True)
        users[name].groups.add(Group.objects.get(name=name))
    return users


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page_of(user: User, page: str) -> str:
    return f"/admin/auth/user/{user.pk}/{page}/"


def tables(content: bytes) -> dict[str, list[dict[str, Any]]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".jsonl")]
        return {
            name.removesuffix(".jsonl"): [json.loads(line) for line in archive.read(name).decode().splitlines()]
            for name in names
        }


# --- erasing ----------------------------------------------------------------------------------------------------------


def test_an_operator_who_types_the_name_erases_the_user(groups: dict[str, User], owner: User, other: User) -> None:
    make_session(owner)
    make_session(other, "s2")
    client = signed_in(groups["operator"])
    assert page_of(owner, "erase") in client.get(page_of(owner, "change")).text
    page = client.get(page_of(owner, "erase")).text
    assert "chat.Event" in page
    for typed in ("", "other", "Owner"):
        page = client.post(page_of(owner, "erase"), {"name": typed}).text
        assert "Nothing was erased" in page
    assert User.objects.filter(pk=owner.pk).exists()
    answer = client.post(page_of(owner, "erase"), {"name": "owner"}, follow=True)
    assert answer.redirect_chain == [("/admin/auth/user/", 302)]
    assert "The user is erased." in answer.text
    assert not User.objects.filter(pk=owner.pk).exists()
    assert set(ChatSession.objects.values_list("public_id", flat=True)) == {"s2"}
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id, entry.change_message) == (groups["operator"], str(owner.pk), "Erased.")
    assert "owner" not in entry.object_repr


def test_others_do_not_and_nobody_without_a_token(
    groups: dict[str, User], owner: User, staff: User, other: User
) -> None:
    for user in (groups["viewer"], groups["auditor"], staff):
        client = signed_in(user)
        assert client.get(page_of(owner, "erase")).status_code == 403
        assert client.post(page_of(owner, "erase"), {"name": "owner"}).status_code == 403
    for somebody in (None, other):
        assert client_of(somebody).get(page_of(owner, "erase")).status_code == 302
    assert client_of(groups["operator"]).post(page_of(owner, "erase"), {"name": "owner"}).status_code == 403
    assert User.objects.filter(pk=owner.pk).exists()


def test_nobody_erases_themselves_an_operator_no_administrator_and_nobody_the_last(
    groups: dict[str, User], superuser: User
) -> None:
    operator = signed_in(groups["operator"])
    assert operator.post(page_of(groups["operator"], "erase"), {"name": "operator"}).status_code == 403
    assert operator.post(page_of(superuser, "erase"), {"name": "superuser"}).status_code == 403
    # What they did would lose their name.
    assert operator.post(page_of(groups["auditor"], "erase"), {"name": "auditor"}).status_code == 403
    with pytest.raises(erasure.Refused, match="only administrator"):
        erasure.erase(superuser, lambda line: None)
    second = User.objects.create_superuser("second")
    assert signed_in(superuser).post(page_of(second, "erase"), {"name": "second"}).status_code == 302
    assert set(User.objects.filter(is_superuser=True)) == {superuser}


@pytest.mark.parametrize("of_session", [False, True])
def test_a_hold_keeps_a_user_from_being_erased_and_says_so(
    of_session: bool, groups: dict[str, User], owner: User
) -> None:
    session = make_session(owner)
    LegalHold.objects.create(reason="a trial", **({"session": session} if of_session else {"user": owner}))
    client = signed_in(groups["operator"])
    page = client.post(page_of(owner, "erase"), {"name": "owner"})
    assert page.status_code == 200
    assert "A legal hold keeps it from being erased" in page.text
    assert f"on {'session s1' if of_session else 'the user'}" in page.text
    owner.refresh_from_db()
    assert owner.is_active
    assert Event.objects.count() == 3


def test_a_hold_that_is_placed_meanwhile_stops_it(owner: User) -> None:
    """A hold on the second of two sessions, from the moment at which the first has gone."""
    make_session(owner, "s1")
    second = make_session(owner, "s2")

    def say(line: str) -> None:
        LegalHold.objects.get_or_create(session=second, reason="a trial")

    with pytest.raises(erasure.Refused, match="Session s2 is under a legal hold"):
        erasure.erase(owner, say)
    owner.refresh_from_db()
    assert not owner.is_active
    assert set(ChatSession.objects.values_list("public_id", flat=True)) == {"s2"}
    # And goes on where it was when the hold is lifted.
    LegalHold.objects.update(lifted_at="2026-01-01T00:00Z")
    erasure.erase(owner, lambda line: None)
    assert not User.objects.filter(pk=owner.pk).exists()


def test_no_account_is_deleted_in_the_admin_but_by_erasure(superuser: User, owner: User) -> None:
    client = signed_in(superuser)
    assert client.post(page_of(owner, "delete"), {"post": "yes"}).status_code == 403
    sent = {"action": "delete_selected", "_selected_action": owner.pk, "post": "yes"}
    client.post("/admin/auth/user/", sent)
    assert User.objects.filter(pk=owner.pk).exists()


def test_what_nobody_drives_any_more_is_ended_before_it_goes(
    owner: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """A run whose lease never ends, as that of a process which hangs, and one behind it that waits."""
    settings.LEASE_SECONDS = settings.WATCH_SECONDS = 0
    monkeypatch.setattr(erasure, "HEARING_SECONDS", 0.0)
    session = make_session(owner)
    far = "2100-01-01T00:00Z"
    run = session.runs.create(
        client_id="c2", seq=4, message="x", agent="writer", state=RunState.RUNNING, lease_until=far
    )
    session.runs.create(client_id="c3", seq=5, message="y", agent="writer")
    ChatSession.objects.update(head=5)
    said: list[str] = []
    erasure.erase(owner, said.append)
    assert "Stopped 2 runs." in said
    assert not Run.objects.filter(pk=run.pk).exists()


def test_the_caches_are_emptied(owner: User) -> None:
    cache.set("owner", "their name")
    erasure.erase(owner, lambda line: None)
    assert cache.get("owner") is None


@pytest.mark.django_db(transaction=True)
def test_a_file_of_sqlite_has_nothing_left_of_what_was_deleted() -> None:
    """Also where SQLite was built to leave it."""
    mark = "zq" + "0123456789" * 400
    path = connection.settings_dict["NAME"]

    def in_files() -> bool:
        from pathlib import Path

        files = [Path(f"{path}{more}") for more in ("", "-wal")]
        return any(mark.encode() in file.read_bytes() for file in files if file.exists())

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA secure_delete = OFF")
        group = Group.objects.create(name="x")
        cursor.execute("CREATE TABLE words (word text)")
        try:
            cursor.execute("INSERT INTO words VALUES (%s)", [mark])
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute("DELETE FROM words")
            assert in_files()
            assert erasure._wipe_file()
            assert not in_files()
        finally:
            cursor.execute("DROP TABLE words")
            group.delete()


# --- taking out -------------------------------------------------------------------------------------------------------


def test_an_auditor_takes_out_all_of_a_user_and_that_is_recorded(
    groups: dict[str, User], owner: User, other: User
) -> None:
    session = make_session(owner, text="their words")
    make_session(other, "s2", text="other words")
    LegalHold.objects.create(user=owner, reason="a trial")
    client = signed_in(groups["auditor"])
    assert client.get(page_of(owner, "take-out")).status_code == 200
    assert not Reading.objects.exists()
    answer = client.post(page_of(owner, "take-out"))
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"] == 'attachment; filename="user-owner.zip"'
    assert "no-store" in answer["Cache-Control"]
    content = answer.getvalue()
    assert len(content) == int(answer["Content-Length"])
    found = tables(content)
    assert {event["content"] for event in found["chat.Event"]} == {"their words"}
    assert found["chat.LegalHold"][0]["reason"] == "a trial"
    [account] = found["auth.User"]
    assert account["username"] == "owner"
    assert "password" not in account
    reading = Reading.objects.get()
    assert (reading.reader, reading.owner, reading.session) == (groups["auditor"], owner, session)
    assert reading.how == Reading.How.EXPORTED


def test_others_take_out_nothing_of_a_user(groups: dict[str, User], owner: User, staff: User) -> None:
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "export_transcripts"]))
    for user in (groups["viewer"], groups["operator"], staff):
        for method in ("get", "post"):
            assert getattr(signed_in(user), method)(page_of(owner, "take-out")).status_code == 403
    assert client_of(groups["auditor"]).post(page_of(owner, "take-out")).status_code == 403


def test_everybody_takes_out_their_own_but_not_that_it_is_held(owner: User, other: User) -> None:
    make_session(owner, text="my words")
    make_session(other, "s2", text="other words")
    LegalHold.objects.create(user=owner, reason="a trial")
    client = signed_in(owner)
    assert "Take it out" in client.get("/accounts/data/").text
    found = tables(client.post("/accounts/data/").getvalue())
    assert {event["content"] for event in found["chat.Event"]} == {"my words"}
    assert "chat.LegalHold" not in found
    assert "a trial" not in json.dumps(found)
    assert "other words" not in json.dumps(found)
    assert client_of(owner).post("/accounts/data/").status_code == 403
    assert Client().post("/accounts/data/").status_code == 302


def test_of_one_user_one_is_put_together_at_a_time(owner: User, other: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks meanwhile is told so; others are not, and neither is who asks again later."""
    meanwhile = []
    write = personal_export.write_zip

    def watched(*arguments: Any, **named: Any) -> Any:
        meanwhile.append(set(own_data._making))
        return write(*arguments, **named)

    monkeypatch.setattr(personal_export, "write_zip", watched)
    for _ in range(2):
        assert tables(signed_in(owner).post("/accounts/data/").getvalue())
    assert meanwhile == [{owner.pk}, {owner.pk}]
    own_data._making.add(owner.pk)
    try:
        answer = signed_in(owner).post("/accounts/data/")
        assert tables(signed_in(other).post("/accounts/data/").getvalue())
    finally:
        own_data._making.discard(owner.pk)
    assert (answer.status_code, int(answer["Retry-After"]) > 0) == (429, True)


def test_an_address_that_two_have_is_nobodys(owner: User, other: User) -> None:
    """Nobody has shown that it is theirs: what was tried under it is in neither's data."""
    User.objects.filter(pk=owner.pk).update(email="Ada@example.org")
    owner.refresh_from_db()
    AccessAttempt.objects.create(username="ada@example.org", ip_address="192.0.2.1", failures_since_start=1)
    found = tables(signed_in(owner).post("/accounts/data/").getvalue())
    assert [attempt["ip_address"] for attempt in found["axes.AccessAttempt"]] == ["192.0.2.1"]
    User.objects.filter(pk=other.pk).update(email="ada@example.org")
    for user in (owner, other):
        user.refresh_from_db()
        assert tables(signed_in(user).post("/accounts/data/").getvalue())["axes.AccessAttempt"] == []


@pytest.mark.django_db(transaction=True)
async def test_a_server_sends_it_piece_by_piece() -> None:
    from chat.database import query

    user = await query(lambda: User.objects.create_user("ada"))
    client = AsyncClient()
    await client.aforce_login(user)
    answer: Any = await client.post("/accounts/data/")
    assert answer.is_async
    content = b"".join([piece async for piece in answer.streaming_content])
    assert tables(content)["auth.User"][0]["username"] == "ada"
