"""A session with a run and its events, as rows; and somebody's browser."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from chat.models import ChatSession, Event, EventType, Run, RunState


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
