"""The admin's pages of a transcript: who may open them, what they give, and the record of who did."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat import frames
from chat.models import ChatSession, Event, EventType, Feedback, Reading, Run, RunState
from tests.site.rows import client_of, make_session

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
PARTS = ("facts", "frames", "steps", "messages")


@pytest.fixture
def viewer(staff: User) -> User:
    """May read sessions, but not what its users marked private."""
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_chatsession", "view_run"]))
    return staff


def page_of(session: ChatSession) -> str:
    return reverse("admin:chat_transcript", args=[session.pk])


def part_of(session: ChatSession, part: str, **query: object) -> str:
    args = [session.pk] if part == "facts" else [session.pk, session.runs.get().pk]
    return reverse(f"admin:chat_transcript_{part}", args=args, query=query)


def compare(left: ChatSession, right: ChatSession) -> str:
    query = {"left": left.runs.get().pk, "right": right.runs.get().pk}
    return reverse("admin:chat_compare", query=query)


def without_tokens(page: str) -> str:
    return re.sub(r'csrfmiddlewaretoken" value="[^"]*"', "", page)


def addresses(session: ChatSession) -> list[str]:
    return [page_of(session), *(part_of(session, part) for part in PARTS), compare(session, session)]


def test_each_door_opens_for_whom_it_should(owner: User, other: User, staff: User, superuser: User) -> None:
    """Of the staff, for those alone who may view sessions; the session's own user goes through another door."""
    session = make_session(owner)
    for address in addresses(session):
        for visitor in (None, owner, other):
            answer = client_of(visitor).get(address)
            assert answer.status_code == 302, (address, visitor)
            assert answer["Location"].startswith("/admin/login/"), (address, visitor)
        assert client_of(staff).get(address).status_code == 403, address
        assert client_of(superuser).get(address).status_code == 200, address
        assert client_of(superuser).post(address).status_code in (403, 405), address


def test_a_private_session_is_answered_as_one_that_does_not_exist(owner: User, viewer: User, superuser: User) -> None:
    """For those who may not read private ones; each part of it, and in a comparison either side. Its reader may read it."""
    public, private = make_session(owner, "public"), make_session(owner, "private")
    ChatSession.objects.filter(pk=private.pk).update(is_private=True)
    client = client_of(viewer)
    missing = client.get(reverse("admin:chat_transcript", args=[99_999]))
    assert missing.status_code == 404
    for address in [*addresses(private), compare(public, private), compare(private, public)]:
        answer = client.get(address)
        assert answer.status_code == 404, address
        assert without_tokens(answer.text) == without_tokens(missing.text), address
        assert client_of(superuser).get(address).status_code == 200, address
    assert client.get(compare(public, public)).status_code == 200
    viewer.user_permissions.add(Permission.objects.get(codename="read_private"))
    assert client_of(viewer).get(page_of(private)).status_code == 200
    mine = make_session(viewer, "mine")
    ChatSession.objects.filter(pk=mine.pk).update(is_private=True)
    viewer.user_permissions.remove(Permission.objects.get(codename="read_private"))
    assert client_of(viewer).get(page_of(mine)).status_code == 200


def test_a_run_is_read_in_its_own_session_alone(owner: User, other: User, viewer: User) -> None:
    """No session that may be read opens the runs of one that may not."""
    public, private = make_session(owner, "public"), make_session(other, "private")
    ChatSession.objects.filter(pk=private.pk).update(is_private=True)
    client = client_of(viewer)
    for part in PARTS[1:]:
        address = reverse(f"admin:chat_transcript_{part}", args=[public.pk, private.runs.get().pk])
        assert client.get(address).status_code == 404
    for nonsense in ("", "?left=x&right=y", f"?left={uuid.uuid4()}&right={uuid.uuid4()}"):
        assert client.get(reverse("admin:chat_compare") + nonsense).status_code == 404


def readings() -> list[tuple[str, str, str]]:
    found = Reading.objects.order_by("pk").values_list("reader__username", "session__public_id", "how")
    return [(str(reader), str(session), str(how)) for reader, session, how in found]


def test_who_opens_a_transcript_is_recorded(owner: User, viewer: User) -> None:
    """Each opening of the page; its parts once, also where the page was never opened; refused ones and one's own not at all."""
    session = make_session(owner)
    client = client_of(viewer)
    for part in PARTS:
        client.get(part_of(session, part))
    assert readings() == [("staff", "s1", "read")]
    for _ in range(2):
        client.get(page_of(session))
    assert readings() == [("staff", "s1", "read")] * 3
    client.get(part_of(session, "frames"))
    assert len(readings()) == 3
    Reading.objects.update(at=timezone.now() - timedelta(hours=2))
    client.get(part_of(session, "messages"))
    assert len(readings()) == 4
    Reading.objects.all().delete()
    client.get(compare(session, make_session(viewer, "mine")))
    assert readings() == [("staff", "s1", "compared")]
    assert Reading.objects.get().run_id == session.runs.get().pk
    Reading.objects.all().delete()
    mine = ChatSession.objects.get(public_id="mine")
    for address in addresses(mine):
        client.get(address)
    ChatSession.objects.filter(pk=session.pk).update(is_private=True)
    for address in addresses(session):
        client.get(address)
    assert readings() == []


def test_the_header_says_what_a_session_is(owner: User, superuser: User) -> None:
    session = make_session(owner)
    run = session.runs.get()
    Run.objects.update(input_tokens=12, output_tokens=34, cost=Decimal("0.00120000"), state=RunState.FAILED)
    Feedback.objects.create(run=run, thumb=Feedback.DOWN, comment=HOSTILE)
    page = client_of(superuser).get(page_of(session))
    assert dict(page.context["facts"]) == {
        "user": "owner",
        "agent": "Researcher",
        "model": "demo",
        "state": "1 run, 1 failed",
        "tokens": "12 read, 34 written",
        "cost": "$0.0012",
        "private": "no",
        "feedback": "0 up, 1 down",
    }
    facts = client_of(superuser).get(part_of(session, "facts")).json()
    assert facts["header"] == dict(page.context["facts"])
    assert facts["runs"][str(run.pk)]["comment"] == HOSTILE


def test_frames_are_those_that_were_sent(owner: User, superuser: User) -> None:
    """To the letter, and only those of the run."""
    session = make_session(owner)
    make_session(owner, "s2")
    sent = [text for row in session.events.select_related("run") for text in frames.of(row)]
    answer = client_of(superuser).get(part_of(session, "frames")).json()
    assert answer == {"items": sent, "through": 3, "more": False}


def more_steps(session: ChatSession, count: int, *, content: str = "text", step_type: str = "thought") -> None:
    """So many steps more at the end of its run's log."""
    run = session.runs.get()
    now = timezone.now()
    Event.objects.bulk_create(
        Event(
            session=session,
            seq=seq,
            run=run,
            type=EventType.STEP,
            step=seq,
            step_type=step_type,
            iteration=seq,
            content=content,
            created_at=now,
            duration=1.5,
        )
        for seq in range(4, 4 + count)
    )


@pytest.mark.parametrize("part", PARTS)
def test_what_is_long_comes_in_pages(part: str, owner: User, superuser: User) -> None:
    """Each bounded, by number and by length, together all of it."""
    session = make_session(owner)
    more_steps(session, 700, content="x" * 1_000)
    client = client_of(superuser)
    items, pages, after, more = [], 0, 0, True
    while more:
        answer = client.get(part_of(session, part, after=after))
        assert len(answer.content) < 600_000
        page = answer.json()
        items += page["items"]
        after, more = page["through"], page["more"]
        pages += 1
    assert pages > 1
    texts = [json.dumps(item) for item in items]
    assert len(texts) == len(set(texts)) or part == "messages"
    # With the frames message and end; the messages hold what the agent is told, the question, the call and each thought.
    assert len(items) == {"facts": 701, "steps": 701, "frames": 703, "messages": 703}[part]


def test_a_single_text_that_is_longer_than_a_page_comes_all_the_same(owner: User, superuser: User) -> None:
    session = make_session(owner)
    more_steps(session, 3, content="x" * 400_000)
    client = client_of(superuser)
    page = client.get(part_of(session, "frames", after=3)).json()
    assert (len(page["items"]), page["through"], page["more"]) == (1, 4, True)


@pytest.mark.parametrize("address", ["page", *PARTS, "compare"])
def test_no_more_queries_for_more_rows(address: str, owner: User, superuser: User) -> None:
    session = make_session(owner)
    client = client_of(superuser)

    def queries() -> int:
        to = page_of(session) if address == "page" else compare(session, session) if address == "compare" else ""
        with CaptureQueriesContext(connection) as captured:
            assert client.get(to or part_of(session, address)).status_code == 200
        return len(captured)

    queries()
    few = queries()
    more_steps(session, 60)
    assert queries() == few


def test_what_its_user_did_not_see_is_there_for_those_who_answer(owner: User, superuser: User) -> None:
    """A run without reasoning: the frames are those that were sent, the steps are whole."""
    session = make_session(owner)
    Run.objects.update(enable_reasoning=False)
    client = client_of(superuser)
    sent = [json.loads(text) for text in client.get(part_of(session, "frames")).json()["items"]]
    assert [frame["type"] for frame in sent] == ["message", "quiet_step", "reasoning_complete"]
    whole = [json.loads(text) for text in client.get(part_of(session, "steps")).json()["items"]]
    assert [(frame["type"], frame["data"]["tool_name"]) for frame in whole] == [("reasoning_step", "calculator")]


def test_messages_are_what_the_model_was_given(owner: User, superuser: User) -> None:
    """The agent's instructions, the runs before it, its question and what it has said; nothing of later runs."""
    session = make_session(owner, text="first question")
    first = session.runs.get()
    now = timezone.now()
    Event.objects.create(
        session=session, seq=4, run=first, type=EventType.STEP, step=2, step_type="tool_result", call_id="",
        tool_name="calculator", content="first result", created_at=now,
    )  # fmt: skip
    second = Run.objects.create(
        session=session, parent=first, client_id="c2", seq=5, message="second question", agent="researcher",
        state=RunState.COMPLETED, ended_at=now,
    )  # fmt: skip
    Event.objects.create(
        session=session, seq=6, run=second, type=EventType.STEP, step=1, step_type="final_answer", iteration=1,
        content="second answer", created_at=now,
    )  # fmt: skip
    client = client_of(superuser)

    def given(run: Run) -> list[tuple[str, str]]:
        answer = client.get(reverse("admin:chat_transcript_messages", args=[session.pk, run.pk])).json()
        return [(item["role"], item["text"]) for item in answer["items"]]

    told, *said = given(second)
    assert told[0] == "system"
    assert "careful researcher" in told[1]
    call = '→ calculator {"first question": "first question"} []'
    assert said == [
        ("user", "first question"),
        ("assistant", call),
        ("tool", "calculator []\nfirst result"),
        ("user", "second question"),
        ("assistant", "second answer"),
    ]
    assert [role for role, _ in given(first)] == ["system", "user", "assistant", "tool"]


def test_hostile_content_is_never_markup(owner: User, superuser: User) -> None:
    session = make_session(User.objects.create(username=HOSTILE), text=HOSTILE, tool=HOSTILE)
    more_steps(session, 1, content=HOSTILE, step_type="final_answer")
    client = client_of(superuser)
    for address in (page_of(session), compare(session, session), compare(session, make_session(owner, "s2"))):
        page = client.get(address)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text
    for part in PARTS:
        assert client.get(part_of(session, part))["Content-Type"] == "application/json"


def test_a_session_leads_to_its_transcript(owner: User, superuser: User) -> None:
    session = make_session(owner)
    page = client_of(superuser).get(reverse("admin:chat_chatsession_change", args=[session.pk])).text
    assert f'href="{page_of(session)}"' in page
