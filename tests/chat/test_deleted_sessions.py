"""A session that is deleted while tabs show it: they are closed, and are told that there is no such session."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from chat import deletion, driver, retention
from chat.database import query
from chat.models import ChatSession, RetentionRule
from chat.protocol import Close
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.site.rows import make_session


def aged(owner: User, public_id: str, *, days: float) -> ChatSession:
    """A session whose last event is so old."""
    session = make_session(owner, public_id, of_run={"agent": "writer"})
    ChatSession.objects.filter(pk=session.pk).update(updated_at=timezone.now() - timedelta(days=days))
    return session


async def opened(inside: InProcessSite, user: User, public_id: str) -> InProcessTab:
    """A tab that is in its session."""
    tab = await inside.tab(user, public_id)
    await tab.until_frame("resumed")
    return tab


def left() -> set[str]:
    return set(ChatSession.objects.values_list("public_id", flat=True))


async def test_the_site_applies_the_rules_by_itself_and_closes_the_tabs_of_what_is_gone(
    inside: InProcessSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RETENTION_SECONDS", 0.2)
    user = await inside.user()
    await query(lambda: (aged(user, "old", days=11), aged(user, "new", days=1)))
    old, new = await opened(inside, user, "old"), await opened(inside, user, "new")
    await query(lambda: RetentionRule.objects.create(agent="writer", days=10))
    driver.current()
    assert await old.until_closed() == 4504
    assert await query(left) == {"new"}
    await new.until_current()


async def test_a_tab_that_heard_nothing_finds_out_with_its_next_ping_or_message(inside: InProcessSite) -> None:
    user = await inside.user()
    await query(lambda: [aged(user, name, days=11) for name in ("a", "b", "c")])
    tabs = [await opened(inside, user, name) for name in ("a", "b", "c")]
    await query(lambda: [deletion.delete_session(session.pk) for session in ChatSession.objects.all()])
    await tabs[0].send("ping", timestamp="1")
    await tabs[1].send("chat", payload={"message": "are you there?"}, client_id="c9")
    await tabs[2].send("resume", after=0)
    assert [await tab.until_closed() for tab in tabs] == [4504] * 3
    assert await query(left) == set()


async def test_a_tab_that_says_nothing_finds_out_by_its_heartbeat(
    inside: InProcessSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HEARTBEAT_SECONDS", 0.1)
    user = await inside.user()
    session = await query(lambda: aged(user, "a", days=11))
    tab = await opened(inside, user, "a")
    await query(lambda: deletion.delete_session(session.pk))
    assert await tab.until_closed() == 4504


async def test_a_tab_whose_unused_session_has_gone_comes_back_and_makes_it_anew(inside: InProcessSite) -> None:
    """It may be open for days; nobody is to be told that what they type leads nowhere."""
    user = await inside.user()
    writing, told = await opened(inside, user, "a"), await opened(inside, user, "b")
    await query(lambda: ChatSession.objects.update(updated_at=timezone.now() - timedelta(days=3)))
    (gone,) = await query(lambda: list(retention.apply()))
    assert len(gone) == 2
    await writing.send("chat", payload={"message": "are you there?"}, client_id="c9")
    assert await writing.until_closed() == Close.TRY_AGAIN
    await deletion.tell_gone(gone)
    assert await told.until_closed() == Close.TRY_AGAIN
    again = await opened(inside, user, "a")
    await again.until_ended(await again.say("are you there?"))
