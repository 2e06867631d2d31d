"""A session with a run and its events, a row of every model of the admin, and somebody's browser."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.utils import timezone

from chat.models import (
    ChatSession,
    Chore,
    DailyUsage,
    Event,
    EventType,
    Export,
    Feedback,
    LegalHold,
    OpenSocket,
    Process,
    Reading,
    RetentionRule,
    Run,
    RunState,
    SavedFilter,
    SiteNotice,
)


def client_of(user: User | None) -> Client:
    client = Client(enforce_csrf_checks=True)
    if user is not None:
        client.force_login(user)
    return client


def make_session(
    owner: User,
    public_id: str = "s1",
    *,
    text: str = "text",
    tool: str = "calculator",
    at: datetime | None = None,
    of_run: dict[str, Any] | None = None,
    of_step: dict[str, Any] | None = None,
) -> ChatSession:
    """A session with one ended run, whose message, tool and answer are `text` and `tool`; `of_run` and `of_step` say what
    else its run and its one step are like.
    """
    session = ChatSession.objects.create(public_id=public_id, owner=owner, title=text, agent="researcher", head=3)
    now = at or timezone.now()
    run = Run.objects.create(
        **{
            "session": session,
            "client_id": "c1",
            "seq": 1,
            "message": text,
            "agent": "researcher",
            "model": "demo",
            "state": RunState.COMPLETED,
            "created_at": now,
            "ended_at": now,
            **(of_run or {}),
        }
    )
    facts = [(EventType.MESSAGE, None), (EventType.STEP, "tool_use"), (EventType.RUN_END, None)]
    for seq, (kind, step_type) in enumerate(facts, start=1):
        fields: dict[str, Any] = {
            "step": 1 if step_type else None,
            "step_type": step_type or "",
            "tool_name": tool if step_type else "",
            "content": text,
            "data": {"started": True, "state": "completed"}
            if kind == EventType.RUN_END
            else {"arguments": {text: text}},
            **((of_step or {}) if step_type else {}),
        }
        Event.objects.create(session=session, seq=seq, run=run, type=kind, created_at=now, **fields)
    return session


def own_rows(user: User, *, run: Run | None = None) -> list[Model]:
    """What is its owner's alone in the admin."""
    return [
        Export.objects.create(owner=user, format="html", runs=[run.pk.hex] if run else [], last_event=10**6),
        SavedFilter.objects.create(owner=user, name="failed", model="run", query="state=failed"),
    ]


def one_of_each(user: User) -> dict[str, Model]:
    """A row of every model of the admin, by its label: the user's, where it is somebody's."""
    session = make_session(user)
    run = session.runs.get()
    process = Process.objects.create(name="web-1", kind="web", seen_at=timezone.now())
    rows: list[Model] = [
        session,
        run,
        session.events.get(seq=2),
        user,
        Group.objects.create(name="group"),
        Chore.objects.create(name="something"),
        DailyUsage.objects.create(user=user, day=date(2026, 1, 1)),
        Feedback.objects.create(run=run, thumb=Feedback.UP),
        LegalHold.objects.create(session=session, reason="a trial"),
        OpenSocket.objects.create(id=uuid.uuid4(), process=process, user=user, opened_at=timezone.now()),
        Reading.objects.create(how=Reading.How.READ, owner=user, session=session),
        RetentionRule.objects.create(agent="writer", days=30),
        SiteNotice.objects.create(text="Soon."),
        *own_rows(user, run=run),
    ]
    return {row._meta.label: row for row in rows}
