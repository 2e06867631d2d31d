"""Processes that live, hang, die and end in order, by the database's clock."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.utils import timezone

from chat import processes, quotas
from chat.database import query, write
from chat.models import OpenSocket, Process


async def until(condition: Callable[[], bool]) -> None:
    """Return when the database is as the condition asks."""
    async with asyncio.timeout(10):
        while not await query(condition):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


@pytest.fixture
async def presence(transactional_db: None, settings: Any) -> AsyncIterator[processes.Presence]:
    """A web server that has just begun."""
    settings.PROCESS_SECONDS = 0.1
    begun = processes.Presence("web", "here")
    begun.start()
    yield begun
    await begun.close()


async def opened(presence: processes.Presence, name: str = "ada") -> tuple[User, uuid.UUID]:
    """A user and a socket of hers."""
    user, _ = await query(lambda: User.objects.get_or_create(username=name))
    return user, await presence.open_socket(user.pk, partial(quotas.open_socket, user_id=user.pk))


def seen_at(name: str) -> Any:
    return Process.objects.values_list("seen_at", flat=True).get(pk=name)


async def test_a_process_says_that_it_lives(presence: processes.Presence) -> None:
    """Again and again, and so stays among the living."""
    await until(Process.objects.filter(pk="here").exists)
    before = await query(seen_at, "here")
    await until(lambda: seen_at("here") > before)
    assert await query(processes.living().filter(kind="web").exists)


async def test_an_orderly_end_takes_the_process_and_its_sockets_away(presence: processes.Presence) -> None:
    """At once; and an announcement under way does not bring it back."""
    await opened(presence)
    assert await query(OpenSocket.objects.count) == 1
    await presence.close()
    assert not await query(Process.objects.exists)
    assert not await query(OpenSocket.objects.exists)


async def test_a_dead_process_is_removed_with_its_sockets_and_a_living_one_is_not(
    presence: processes.Presence, settings: Any
) -> None:
    """By whoever lives, of whatever kind the dead one was."""
    user, _ = await opened(presence)

    def others() -> None:
        silence = timedelta(seconds=processes.DEAD_AFTER * settings.PROCESS_SECONDS)
        for name, at in (("dead", timezone.now() - 2 * silence), ("alive", timezone.now() + timedelta(hours=1))):
            process = Process.objects.create(name=name, kind="worker", seen_at=at)
            OpenSocket.objects.create(process=process, user=user, opened_at=at)

    await write(others)
    await until(lambda: not Process.objects.filter(pk="dead").exists())
    assert set(await query(lambda: list(OpenSocket.objects.values_list("process_id", flat=True)))) == {"here", "alive"}


async def test_a_process_that_only_hung_tells_its_sockets_anew(presence: processes.Presence) -> None:
    """Given up for dead by another, it comes back with all that it still has, and only that."""
    _, kept = await opened(presence)
    _, gone = await opened(presence)
    await opened(presence, "bob")

    @transaction.atomic
    def give_up_for_dead() -> None:
        Process.objects.all().delete()
        User.objects.filter(username="bob").delete()

    presence.close_socket(gone)
    await write(give_up_for_dead)
    await until(lambda: list(OpenSocket.objects.values_list("pk", flat=True)) == [kept])


async def test_a_socket_that_comes_before_the_first_announcement_is_counted(
    transactional_db: None, settings: Any
) -> None:
    """It announces the process itself."""
    settings.PROCESS_SECONDS = 60
    early = processes.Presence("web", "early")
    _, socket_id = await opened(early)
    assert await query(lambda: list(OpenSocket.objects.values_list("pk", "process_id"))) == [(socket_id, "early")]


async def test_a_database_that_is_away_ends_nothing(
    presence: processes.Presence, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A socket that closed meanwhile is removed, and the process lives on, once the database is back."""
    _, socket_id = await opened(presence)
    monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "timeout", 0.05)
    lock = sqlite3.connect(connections.settings["default"]["NAME"], isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    presence.close_socket(socket_id)
    async with asyncio.timeout(10):
        while "could not announce itself" not in caplog.text:  # noqa: ASYNC110 - a log tells nobody
            await asyncio.sleep(0.02)
    before = await query(seen_at, "here")
    assert await query(OpenSocket.objects.filter(pk=socket_id).exists)
    lock.execute("ROLLBACK")
    lock.close()
    await until(lambda: not OpenSocket.objects.exists())
    await until(lambda: seen_at("here") > before)
