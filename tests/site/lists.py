"""The lists of the admin as tests read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from chat.models import ChatSession, Event, EventType, Feedback, RunState
from tests.site.rows import make_session

LISTS = ["chatsession", "run", "event"]
LONG_AGO = datetime(2020, 5, 17, 12, tzinfo=UTC)


def page(client: Client, name: str, **query: str) -> str:
    answer = client.get(reverse(f"admin:chat_{name}_changelist"), query, follow=True)
    assert answer.status_code == 200
    assert not answer.redirect_chain, "the list does not take these filters"
    return answer.text


def found(client: Client, name: str, **query: str) -> set[str]:
    """The public ids of the sessions of the rows that are listed."""
    listed = page(client, name, **query).partition('id="result_list"')[2].partition("</table>")[0]
    keys = set(re.findall(r"/(?:transcript|change)/|/chatsession/(\d+)/(?:transcript|change)/", listed)) - {""}
    return set(ChatSession.objects.filter(pk__in=keys).values_list("public_id", flat=True))


def count_of(client: Client, name: str, **query: str) -> str:
    paginator = re.search(r'class="paginator">(.*?)</p>', page(client, name, **query), re.DOTALL)
    assert paginator
    counted = re.search(
        r"(more than )?\d+ (session|run|event)s?", " ".join(re.sub(r"<[^>]*>", "", paginator[1]).split())
    )
    assert counted
    return counted[0]


def step(session: ChatSession, content: str, **more: Any) -> Event:
    session.refresh_from_db()
    session.head += 1
    session.save()
    run = session.runs.get()
    return Event.objects.create(
        session=session,
        run=run,
        seq=session.head,
        type=EventType.STEP,
        step=session.head,
        step_type=more.pop("step_type", "thought"),
        content=content,
        created_at=timezone.now(),
        **more,
    )


@pytest.fixture
def two(owner: User, other: User) -> tuple[ChatSession, ChatSession]:
    """One that every filter below asks for, and one that none of them does."""
    spent: dict[str, Any] = {"input_tokens": 900, "output_tokens": 100, "cost": Decimal("0.5")}
    wanted = make_session(
        owner,
        "wanted",
        text="a needle",
        tool="hammer",
        at=LONG_AGO,
        of_run={
            "agent": "writer",
            "model": "openai:big",
            "state": RunState.FAILED,
            "error_code": "time_limit",
            "tool_errors": 2,
            "started_at": LONG_AGO - timedelta(seconds=50),
            "first_token_seconds": 1.25,
            **spent,
        },
        of_step={"step_type": "tool_result", "duration": 50, "data": {"is_error": True}, **spent},
    )
    ChatSession.objects.filter(pk=wanted.pk).update(is_private=True, updated_at=LONG_AGO)
    little: dict[str, Any] = {"input_tokens": 1, "output_tokens": 1, "cost": Decimal("0.001")}
    unwanted = make_session(
        other,
        "unwanted",
        of_run={"started_at": timezone.now() - timedelta(seconds=1), **little},
        of_step={"duration": 1, **little},
    )
    Feedback.objects.create(run=wanted.runs.get(), thumb=Feedback.DOWN, comment="no")
    return wanted, unwanted
