"""Taking out in the admin: the action of the lists, the page of an export, its parts and its download."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.test import AsyncClient, Client
from django.urls import reverse

from chat.database import query
from chat.models import ChatSession, Event, Export, Reading, Run
from chat.transcripts import exporting, selection
from chat.transcripts.forms import FORMS
from chat.transcripts.parts import Cursor
from tests.site.rows import client_of, make_session

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Page

VIEW = ["view_chatsession", "view_run", "view_event"]


@pytest.fixture
def auditor(staff: User) -> User:
    """May read what is not private, and take it out."""
    return allow(staff, *VIEW, "export_transcripts")


def allow(user: User, *names: str) -> User:
    user.user_permissions.set(Permission.objects.filter(codename__in=names, content_type__app_label="chat"))
    return User.objects.get(pk=user.pk)


def ask(user: User, name: str, *rows: ChatSession | Run | Event, query: str = "", **more: str) -> Page:
    """Choose the action on a list; with `format`, as the page after it does."""
    data = {"action": "take_out", "_selected_action": [str(row.pk) for row in rows], **more}
    client = Client()
    client.force_login(user)
    return client.post(reverse(f"admin:chat_{name}_changelist") + query, data)


def export_of(user: User, *sessions: ChatSession, form: str = "jsonl") -> Export:
    ids = exporting.selected(ChatSession.objects.filter(pk__in=[session.pk for session in sessions]), user)
    return exporting.begin(user, ids, form=form, described="for a test")


def url(export: Export, page: str) -> str:
    return reverse(f"admin:chat_export_{page}", args=[export.pk])


def all_parts(client: Client, export: Export) -> bytes:
    at, content = str(Cursor()), b""
    while at:
        answer = client.get(url(export, "part"), {"at": at})
        assert answer.status_code == 200
        content += answer.content
        at = answer["X-Export-Next"]
    return content


@pytest.mark.parametrize("name", ["chatsession", "run", "event"])
def test_the_action_asks_for_a_format_and_fixes_the_selection(name: str, auditor: User, owner: User) -> None:
    first, second = make_session(owner, "first"), make_session(owner, "second")
    rows: dict[str, ChatSession | Run | Event] = {
        "chatsession": first,
        "run": first.runs.get(),
        "event": first.events.get(seq=2),
    }
    page = ask(auditor, name, rows[name])
    assert page.status_code == 200
    for form in FORMS:
        assert f'value="{form}"' in page.text
    answer = ask(auditor, name, rows[name], format="csv")
    export = Export.objects.get()
    assert answer["Location"] == url(export, "change")
    assert export.owner == auditor
    assert export.runs == [first.runs.get().pk.hex]
    assert second.runs.get().pk.hex not in export.runs
    assert export.described.startswith("1 selected ")


def test_all_that_match_the_filters_are_selected_and_nothing_else(auditor: User, owner: User, other: User) -> None:
    """“Select all N” takes the whole filtered list, not its page, and says by which filters."""
    wanted = [make_session(owner, f"w{number}", text="needle") for number in range(3)]
    make_session(other, "not", text="hay")
    answer = ask(auditor, "chatsession", wanted[0], query="?q=needle", format="md", select_across="1")
    assert answer.status_code == 302
    export = Export.objects.get()
    assert export.runs == [session.runs.get().pk.hex for session in wanted]
    assert export.described == "All sessions with q=needle: 3 runs"


def test_where_the_bound_is_hit_it_is_said(auditor: User, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MOST_RUNS", 2)
    for module in ("chat.transcripts.exporting", "chat.admin.takeout"):
        monkeypatch.setattr(f"{module}.MOST_RUNS", 2)
    sessions = [make_session(owner, f"s{number}") for number in range(3)]
    page = ask(auditor, "chatsession", *sessions)
    assert "There are more: one export takes 2 runs" in page.text
    ask(auditor, "chatsession", *sessions, format="csv")
    export = Export.objects.get()
    assert len(export.runs) == 2
    assert export.described.endswith("the first 2 of more runs")
    Export.objects.all().delete()
    ask(auditor, "chatsession", *sessions[:2], format="csv")
    assert Export.objects.get().described.endswith(": 2 runs")


def test_without_the_permission_there_is_no_action(staff: User, owner: User) -> None:
    session = make_session(owner)
    viewer = allow(staff, *VIEW)
    assert "take_out" not in client_of(viewer).get("/admin/chat/chatsession/").text
    ask(viewer, "chatsession", session, format="csv")
    assert not Export.objects.exists()
    auditor = allow(staff, *VIEW, "export_transcripts")
    assert "take_out" in client_of(auditor).get("/admin/chat/chatsession/").text


def test_what_may_not_be_read_is_not_selected(auditor: User, owner: User) -> None:
    public, private = make_session(owner, "public"), make_session(owner, "private")
    ChatSession.objects.filter(pk=private.pk).update(is_private=True)
    ask(auditor, "chatsession", public, private, format="jsonl")
    assert Export.objects.get().runs == [public.runs.get().pk.hex]
    ask(auditor, "chatsession", private, format="jsonl")
    assert Export.objects.count() == 1


def test_an_export_is_its_owners_alone(auditor: User, owner: User, superuser: User) -> None:
    export = export_of(auditor, make_session(owner))
    for page in ("change", "part", "download"):
        assert client_of(auditor).get(url(export, page)).status_code == 200
        assert client_of(superuser).get(url(export, page)).status_code == 404
        assert client_of(owner).get(url(export, page)).status_code == 302
    assert str(export.pk) in client_of(auditor).get("/admin/chat/export/").text
    assert str(export.pk) not in client_of(superuser).get("/admin/chat/export/").text
    allow(auditor, *VIEW)
    for page in ("change", "part", "download"):
        assert client_of(auditor).get(url(export, page)).status_code == 403
    assert client_of(auditor).get("/admin/chat/export/").status_code == 403


@pytest.mark.parametrize("form", FORMS)
def test_what_became_private_or_was_deleted_since_is_in_no_part(form: str, auditor: User, owner: User) -> None:
    kept = make_session(owner, "kept", text="kept text")
    hidden = make_session(owner, "hidden", text="hidden text")
    deleted = make_session(owner, "deleted", text="deleted text")
    export = export_of(auditor, kept, hidden, deleted, form=form)
    ids = [str(uuid.UUID(run)) for run in export.runs]
    ChatSession.objects.filter(pk=hidden.pk).update(is_private=True)
    deleted.delete()
    content = all_parts(client_of(auditor), export).decode()
    assert "hidden text" not in content
    assert "deleted text" not in content
    if form not in ("messages", "pairs"):
        assert "kept text" in content
        # It is said which are missing.
        assert all(run in content for run in ids)


def test_whose_sessions_are_taken_out_is_recorded_once(auditor: User, owner: User) -> None:
    theirs, own = make_session(owner, "theirs"), make_session(auditor, "own")
    export = export_of(auditor, theirs, own)
    assert not Reading.objects.exists()
    all_parts(client_of(auditor), export)
    all_parts(client_of(auditor), export)
    reading = Reading.objects.get()
    assert (reading.reader, reading.owner, reading.session) == (auditor, owner, theirs)
    assert reading.how == Reading.How.EXPORTED


def test_a_part_is_never_a_page_of_the_site(auditor: User, owner: User) -> None:
    """Its text is somebody else's: a browser must save it, whatever it looks like."""
    export = export_of(auditor, make_session(owner), form="html")
    for page in ("part", "download"):
        answer = client_of(auditor).get(url(export, page))
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"].startswith('attachment; filename="transcripts-')
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("at", ["x", "1", "1.2.3", "-1.0", "1.-1", "１.0", "9" * 30 + ".0", ""])
def test_a_place_that_is_none_is_not_found(at: str, auditor: User, owner: User) -> None:
    export = export_of(auditor, make_session(owner))
    assert client_of(auditor).get(url(export, "part"), {"at": at}).status_code == 404
    assert client_of(auditor).get(url(export, "download"), {"from_part": at}).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_the_download_is_a_stream_of_the_parts(auditor: User, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on from any part as from its beginning, and begins to come before all of it is made."""
    monkeypatch.setattr("chat.transcripts.parts.PART_SIZE", 100)
    sessions = [make_session(owner, f"s{number}") for number in range(5)]
    export = export_of(auditor, *sessions)

    @async_to_sync
    async def download(**query: str) -> list[bytes]:
        client = AsyncClient()
        await client.aforce_login(auditor)
        answer = await client.get(url(export, "download"), query)
        assert answer.streaming
        return [piece async for piece in answer.streaming_content]  # type: ignore[attr-defined] # it streams

    pieces = download()
    assert len(pieces) > 10
    whole = b"".join(pieces)
    assert whole == all_parts(client_of(auditor), export)
    first = client_of(auditor).get(url(export, "part"))
    assert b"".join(download(from_part=first["X-Export-Next"])) == whole[len(first.content) :]
    assert [json.loads(line)["id"] for line in whole.splitlines() if b'"line":"session"' in line] == [
        session.public_id for session in sessions
    ]


@pytest.mark.django_db(transaction=True)
def test_a_download_under_way_ends_when_the_right_is_taken_away(
    auditor: User, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.transcripts.parts.PART_SIZE", 100)
    export = export_of(auditor, *(make_session(owner, f"s{number}") for number in range(5)))

    @async_to_sync
    async def download() -> None:
        client = AsyncClient()
        await client.aforce_login(auditor)
        answer = await client.get(url(export, "download"))
        pieces = answer.streaming_content.__aiter__()  # type: ignore[attr-defined] # it streams
        assert await anext(pieces)
        await query(allow, auditor, *VIEW)
        with pytest.raises(PermissionDenied):
            await anext(pieces)

    download()


def test_the_list_of_ones_exports_says_what_they_are(auditor: User, owner: User) -> None:
    export = export_of(auditor, make_session(owner), form="html")
    page = client_of(auditor).get("/admin/chat/export/").text
    assert "for a test" in page
    assert "Printable HTML" in page
    assert url(export, "change") in page
    assert re.search(r'<progress[^>]* max="1"', client_of(auditor).get(url(export, "change")).text)
