"""Sessions are kept as long as the rules of their agents say, and not at all less."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat import deletion, holds, keeper, retention
from chat.database import query
from chat.models import ChatSession, Chore, Event, Feedback, LegalHold, Reading, RetentionRule, Run, RunState
from tests.site.rows import make_session


def aged(owner: User, public_id: str, days: float, *agents: str) -> ChatSession:
    """A session whose last event is so old, with a run of each agent."""
    session = make_session(owner, public_id)
    run = session.runs.get()
    Run.objects.filter(pk=run.pk).update(agent=agents[0])
    for number, agent in enumerate(agents[1:], start=2):
        session.runs.create(
            client_id=f"c{number}", seq=number, message="x", agent=agent, state=RunState.FAILED, ended_at=timezone.now()
        )
    ChatSession.objects.filter(pk=session.pk).update(updated_at=timezone.now() - timedelta(days=days), agent=agents[-1])
    return session


def left() -> set[str]:
    return set(ChatSession.objects.values_list("public_id", flat=True))


def apply(*words: str) -> str:
    out = StringIO()
    call_command("applyretention", *words, stdout=out)
    return out.getvalue()


@pytest.fixture
def rules(db: None) -> None:
    RetentionRule.objects.create(agent="writer", days=10)
    RetentionRule.objects.create(agent="analyst", days=30)


@pytest.mark.parametrize(
    ("days", "agents", "goes"),
    [
        (11, ["writer"], True),
        (9, ["writer"], False),
        (11, ["analyst"], False),
        (31, ["analyst"], True),
        # The longest of a session's rules holds, whichever agent it has now.
        (11, ["analyst", "writer"], False),
        (31, ["writer", "analyst"], True),
        # One agent without a rule, and it stays.
        (10_000, ["writer", "researcher"], False),
        (10_000, ["researcher"], False),
    ],
)
def test_a_session_goes_when_the_longest_rule_of_its_agents_has_passed(
    days: float, agents: list[str], goes: bool, owner: User, rules: None
) -> None:
    aged(owner, "s", days, *agents)
    apply()
    assert left() == (set() if goes else {"s"})


@pytest.mark.parametrize("has_rules", [False, True])
def test_sessions_that_were_never_used_go_after_days(owner: User, *, has_rules: bool) -> None:
    """Every look at an empty page makes one. Whoever has named one, marked it private or had it held has used it."""
    if has_rules:
        RetentionRule.objects.create(agent="writer", days=10)
    ago = timezone.now() - timedelta(days=2, hours=1)
    like: dict[str, dict[str, Any]] = {
        "unused": {},
        "new": {"updated_at": timezone.now() - timedelta(days=1, hours=23)},
        "named": {"title": "Mine"},
        "private": {"is_private": True},
        "held": {},
    }
    for name, more in like.items():
        ChatSession.objects.create(**{"public_id": name, "owner": owner, "agent": "x", "updated_at": ago, **more})
    LegalHold.objects.create(session=ChatSession.objects.get(public_id="held"), reason="A claim.")
    aged(owner, "said", 5, "writer")
    ChatSession.objects.filter(public_id="said").update(title="")
    apply()
    assert left() == {"new", "named", "held", "private", "said"}


def test_the_rule_without_an_agent_is_for_all_that_have_none(owner: User, rules: None) -> None:
    RetentionRule.objects.create(agent="", days=20)
    for name, days, agent in (("a", 21, "researcher"), ("b", 19, "researcher"), ("c", 21, "analyst")):
        aged(owner, name, days, agent)
    empty = ChatSession.objects.create(owner=owner, public_id="empty", agent="assistant")
    ChatSession.objects.filter(pk=empty.pk).update(updated_at=timezone.now() - timedelta(days=21))
    apply()
    assert left() == {"b", "c"}


def test_without_rules_nothing_goes(owner: User) -> None:
    aged(owner, "s", 10_000, "writer")
    assert "0 sessions deleted" in apply()
    assert left() == {"s"}


def test_what_goes_goes_whole_and_its_reading_stays(owner: User, superuser: User, rules: None) -> None:
    session = aged(owner, "s", 11, "writer")
    Feedback.objects.create(run=session.runs.get(), thumb=Feedback.UP)
    Reading.objects.create(how=Reading.How.READ, reader=superuser, owner=owner, session=session)
    kind = ContentType.objects.get_for_model(ChatSession)
    LogEntry.objects.create(
        user=superuser, content_type=kind, object_id=str(session.pk), object_repr="its title", action_flag=CHANGE
    )
    apply()
    assert not any(model.objects.exists() for model in (ChatSession, Run, Feedback))
    assert not Event.objects.exists()
    reading = Reading.objects.get()
    assert (reading.reader, reading.owner, reading.session) == (superuser, owner, None)
    assert LogEntry.objects.get().object_repr == ""


def test_a_dry_run_says_how_many_and_deletes_none(owner: User, rules: None) -> None:
    for number in range(3):
        aged(owner, f"s{number}", 11, "writer")
    assert apply("--dry-run") == "3 sessions would be deleted.\n"
    assert len(left()) == 3


def test_what_is_held_stays_until_the_hold_is_lifted(owner: User, other: User, rules: None) -> None:
    mine, theirs = aged(owner, "mine", 11, "writer"), aged(other, "theirs", 11, "writer")
    on_session = LegalHold.objects.create(session=mine, reason="a trial")
    on_user = LegalHold.objects.create(user=other, reason="a trial")
    apply()
    assert left() == {"mine", "theirs"}
    with pytest.raises(holds.Held, match="mine"):
        deletion.delete_session(mine.pk)
    with pytest.raises(holds.Held, match="theirs"):
        deletion.delete_session(theirs.pk)
    LegalHold.objects.filter(pk=on_session.pk).update(lifted_at=timezone.now())
    apply()
    assert left() == {"theirs"}
    LegalHold.objects.filter(pk=on_user.pk).update(lifted_at=timezone.now())
    apply()
    assert left() == set()


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.RUNNING, RunState.WAITING])
def test_what_is_under_way_stays(state: RunState, owner: User, rules: None) -> None:
    session = aged(owner, "s", 11, "writer")
    session.runs.update(state=state, ended_at=None)
    apply()
    assert not deletion.delete_session(session.pk)
    assert left() == {"s"}


def test_what_was_gone_on_with_meanwhile_stays(owner: User, rules: None) -> None:
    session = aged(owner, "s", 11, "writer")
    [found] = retention.batch()
    ChatSession.objects.filter(pk=session.pk).update(updated_at=timezone.now())
    assert not retention.delete_if_due(found)
    assert left() == {"s"}


def test_many_go_in_batches_and_are_looked_for_once_a_batch(
    owner: User, rules: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for number in range(7):
        aged(owner, f"s{number}", 11, "writer")
    aged(owner, "kept", 1, "writer")
    assert [len(gone) for gone in retention.apply()] == [3, 3, 1]
    assert left() == {"kept"}
    with CaptureQueriesContext(connection) as captured:
        assert list(retention.apply()) == []
    assert len(captured) == 2


# --- by itself --------------------------------------------------------------------------------------------------------


def test_of_many_that_ask_whether_it_is_time_one_is_told_so(db: None) -> None:
    assert [keeper.begin() for _ in range(3)] == [True, False, False]
    keeper.end(4)
    assert not keeper.begin()
    assert Chore.objects.get().said == "4 sessions deleted"
    Chore.objects.update(begun_at=timezone.now() - timedelta(seconds=settings.RETENTION_SECONDS + 1))
    assert [keeper.begin() for _ in range(2)] == [True, False]


@pytest.mark.django_db(transaction=True)
async def test_logins_that_have_expired_go_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would only be many; those that stand stay."""
    monkeypatch.setattr(settings, "RETENTION_SECONDS", 0.05)
    for key, days in (("stands", 1), ("expired", -1)):
        expires = timezone.now() + timedelta(days=days)
        await query(Session.objects.create, session_key=key, session_data="", expire_date=expires)
    keeping = asyncio.create_task(keeper.keep())
    try:
        async with asyncio.timeout(10):
            while not await query(Chore.objects.exclude(ended_at=None).exists):  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.02)
    finally:
        keeping.cancel()
    assert await query(lambda: list(Session.objects.values_list("pk", flat=True))) == ["stands"]
