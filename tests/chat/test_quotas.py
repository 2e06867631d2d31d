"""Limits per user, inside this process: each refusal says when to come back, and holds nobody else up."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.utils import timezone

from agents.steps import Step, StepType, Usage
from chat import events, quotas, runs
from chat.database import query, write
from chat.models import ChatSession, DailyUsage, Event, Run, RunState
from chat.protocol import Code, Refused
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import ScriptedModel
from tests.parts.socket_client import Frame


async def refused(tab: InProcessTab, message: str = "one more") -> Frame:
    """Send a message that is refused; returns the `error` frame's data."""
    client_id, seen = uuid.uuid4().hex, len(tab.frames)
    await tab.send("chat", payload={"message": message}, client_id=client_id)
    frame = await tab.until_frame(lambda frame: frame["data"].get("client_id") == client_id, seen)
    assert frame["type"] == "error", frame
    data: Frame = frame["data"]
    return data


# --- messages a minute ---


async def test_messages_a_minute(inside: InProcessSite, settings: Any) -> None:
    """Over all of a user's sessions; the wait is exact, and afterwards the next is taken. Others are free."""
    settings.MESSAGES_PER_MINUTE, settings.MODEL = 3, ScriptedModel(["ok"])
    user = await inside.user()
    one, two = await inside.tab(user, "one"), await inside.tab(user, "two")
    oldest = await one.say("1")
    await one.say("2")
    await two.say("3")
    await write(lambda: Run.objects.filter(pk=oldest).update(created_at=F("created_at") - timedelta(seconds=30)))
    for tab in (one, two):
        data = await refused(tab)
        assert data["code"] == Code.LIMIT_REACHED
        assert 20 <= data["retry_after"] <= 30
        assert data["message"] == f"You may send 3 messages a minute. Try again in {data['retry_after']} seconds."
    other = await inside.tab(await inside.user("bob"), "bobs")
    await other.say("hello")
    await write(lambda: Run.objects.filter(pk=oldest).update(created_at=F("created_at") - timedelta(seconds=30)))
    await two.say("4")
    assert 50 <= (await refused(two))["retry_after"] <= 60


async def test_a_lowered_limit_says_the_wait_until_there_is_room(inside: InProcessSite, settings: Any) -> None:
    """Where more were sent than the limit allows, it is not the oldest that matters."""
    settings.MESSAGES_PER_MINUTE, settings.MODEL = 0, ScriptedModel(["ok"])
    tab = await inside.tab(await inside.user())
    for age in (40, 30, 20):
        run_id = await tab.say(str(age))
        earlier = timezone.now() - timedelta(seconds=age)
        await write(Run.objects.filter(pk=run_id).update, created_at=earlier)
    settings.MESSAGES_PER_MINUTE = 2
    assert 28 <= (await refused(tab))["retry_after"] <= 31


async def test_a_message_that_was_accepted_is_never_refused(inside: InProcessSite, settings: Any) -> None:
    """Sent again with its `client_id`, it is acknowledged as a duplicate at any limit."""
    settings.MESSAGES_PER_MINUTE, settings.ACTIVE_RUNS_PER_USER, settings.TOKENS_PER_DAY = 1, 1, 1
    settings.MODEL = ScriptedModel(["ok"])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("once", client_id="mine")
    await tab.until_ended(run_id)
    assert (await refused(tab))["code"] == Code.LIMIT_REACHED
    assert await tab.say("once", client_id="mine") == run_id
    assert await query(Run.objects.count) == 1


# --- sessions that are being answered ---


async def test_sessions_being_answered_at_once(inside: InProcessSite, settings: Any) -> None:
    """One session more is refused until one is done; another message in one of them only waits. Others are free."""
    settings.ACTIVE_RUNS_PER_USER = 2
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["a", gate, "b"])
    user = await inside.user()
    one, two, three = [await inside.tab(user, name) for name in ("one", "two", "three")]
    first = await one.say("1")
    await two.say("2")
    data = await refused(three)
    assert data["code"] == Code.LIMIT_REACHED
    assert quotas.SHORTEST_SECONDS <= data["retry_after"] <= quotas.LONGEST_SECONDS
    assert data["message"].endswith(f"Try again in {data['retry_after']} seconds.")
    await one.say("waits")
    other = await inside.tab(await inside.user("bob"), "bobs")
    await other.say("hello")
    gate.set()
    await one.until_ended(first)
    await one.until_ended()
    await three.say("now")


async def test_the_estimate_follows_what_is_under_way(inside: InProcessSite, settings: Any) -> None:
    """Two runs that have taken 40 s so far: in about 20 s one of them ends."""
    settings.ACTIVE_RUNS_PER_USER = 2
    user = await inside.user()

    def arrange() -> int:
        for name in ("one", "two", "three"):
            session = ChatSession.objects.create(public_id=name, owner=user, agent="writer")
            if name != "three":
                runs.accept(session.pk, message="go", agent=None, enable_reasoning=True)
                claimed = runs.claim(session.pk, worker="w", model="m")
                assert claimed is not None
                started = timezone.now() - timedelta(seconds=40)
                Run.objects.filter(pk=claimed.run.pk).update(started_at=started)
        return session.pk

    third = await write(arrange)
    with pytest.raises(Refused) as caught:
        await write(runs.accept, third, message="go", agent=None, enable_reasoning=True)
    assert 20 <= caught.value.retry_after <= 22  # type: ignore[operator] # None fails as well


async def test_a_full_queue_says_when_to_come_back(inside: InProcessSite, settings: Any) -> None:
    """It keeps its own code."""
    settings.QUEUE_LIMIT, settings.MODEL = 1, ScriptedModel(["a", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("1")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    await tab.say("2")
    data = await refused(tab)
    assert data["code"] == Code.QUEUE_FULL
    assert data["retry_after"] >= 1
    assert f"in {data['retry_after']} seconds" in data["message"]


# --- tokens a day ---


async def test_tokens_a_day(inside: InProcessSite, settings: Any) -> None:
    """A run under way goes on past the limit; the next message waits for midnight in UTC. Others are free."""
    settings.TOKENS_PER_DAY, settings.MODEL = 15, ScriptedModel(["a", "b"])
    user = await inside.user()
    tab = await inside.tab(user)
    for message in ("12 tokens", "24 tokens"):
        run_id = await tab.say(message)
        await tab.until_ended(run_id)
        assert tab.tab.runs[run_id].state == "completed"
    usage = await query(lambda: DailyUsage.objects.get(user=user))
    assert (usage.input_tokens, usage.output_tokens) == (20, 4)
    data = await refused(tab)
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    assert data["code"] == Code.LIMIT_REACHED
    assert abs(data["retry_after"] - (midnight - now).total_seconds()) < 5
    assert data["message"].startswith(
        "Your 15 tokens for today are used up; there are new ones at 0:00 UTC. Try again in "
    )
    await (await inside.tab(await inside.user("bob"), "bobs")).say("hello")
    await write(lambda: DailyUsage.objects.update(day=F("day") - timedelta(days=1)))
    await tab.say("a new day")


def thought(number: int, tokens: int) -> Step:
    usage = Usage(input_tokens=tokens, output_tokens=1, reasoning_tokens=0)
    return Step(number=number, type=StepType.THOUGHT, content="hm", iteration=1, usage=usage)


async def test_a_write_that_is_repeated_counts_its_tokens_once(inside: InProcessSite) -> None:
    """Steps and ends that were committed without the writer's knowing are not counted again; refused ones not at all."""
    user = await inside.user()

    def twice() -> list[int]:
        session = ChatSession.objects.create(public_id="x", owner=user, agent="writer")
        runs.accept(session.pk, message="go", agent=None, enable_reasoning=True)
        claimed = runs.claim(session.pk, worker="w", model="m")
        assert claimed is not None
        run_id, attempt = str(claimed.run.pk), claimed.run.attempt
        for again in (False, True):
            events.record_steps(run_id, attempt=attempt, steps=[thought(1, 100)], again=again)
        with pytest.raises(events.Superseded):
            events.record_steps(run_id, attempt=attempt - 1, steps=[thought(2, 1000)])
        for again in (False, True):
            end = partial(runs.finish, run_id, attempt=attempt, state=RunState.COMPLETED, steps=[thought(2, 10)])
            end(again=again)
        return list(DailyUsage.objects.filter(user=user).values_list("input_tokens", flat=True))

    assert await write(twice) == [110]
    assert await query(Event.objects.filter(type="step").count) == 2


async def test_zero_is_no_limit(inside: InProcessSite, settings: Any) -> None:
    """For each of the four."""
    settings.MESSAGES_PER_MINUTE = settings.ACTIVE_RUNS_PER_USER = settings.TOKENS_PER_DAY = 0
    settings.SOCKETS_PER_USER = 0
    settings.MODEL = ScriptedModel(["ok"])
    user = await inside.user()
    await write(lambda: DailyUsage.objects.create(user=user, day=datetime.now(UTC).date(), input_tokens=10**9))
    for number in range(3):
        tab = await inside.tab(user, f"s-{number}")
        await tab.say("go")
        await tab.say("on")


# --- two at once ---


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """The results of the calls, or what they raised, begun together on a thread and a connection of its own for each."""
    from django.db import connection

    start = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = calls[index]()
        except Refused as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.django_db(transaction=True)
def test_of_many_messages_at_once_no_more_get_through_than_may(settings: Any) -> None:
    """Each to a session of its own, so that only the user is what they share."""
    settings.MESSAGES_PER_MINUTE = 2
    user = User.objects.create_user("ada")
    made = [ChatSession.objects.create(public_id=f"s{n}", owner=user, agent="writer") for n in range(6)]
    send = partial(runs.accept, message="go", agent=None, enable_reasoning=True)
    results = at_once(*(partial(send, session.pk) for session in made))
    assert [isinstance(result, Refused) for result in results].count(False) == 2
    assert Run.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_two_runs_that_begin_a_day_at_once_are_both_counted(settings: Any) -> None:
    """The day's first tokens, from several sessions of a user."""
    user = User.objects.create_user("ada")
    writes = []
    for number in range(4):
        session = ChatSession.objects.create(public_id=f"s{number}", owner=user, agent="writer")
        runs.accept(session.pk, message="go", agent=None, enable_reasoning=True)
        claimed = runs.claim(session.pk, worker="w", model="m")
        assert claimed is not None
        run = claimed.run
        writes.append(partial(events.record_steps, str(run.pk), attempt=run.attempt, steps=[thought(1, 100)]))
    at_once(*writes)
    assert list(DailyUsage.objects.values_list("input_tokens", "output_tokens")) == [(400, 4)]


# --- waits in words ---


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (59, "59 seconds"),
        (120, "120 seconds"),
        (121, "3 minutes"),
        (7200, "120 minutes"),
        (7201, "3 hours"),
        (86400, "24 hours"),
    ],
)
def test_a_wait_is_never_told_shorter_than_it_is(seconds: int, words: str) -> None:
    """In a unit that reads well."""
    assert quotas.spelled(seconds) == words
