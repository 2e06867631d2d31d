"""How many sockets a user may have open, and what is counted as one."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from chat import processes, quotas
from chat.database import query
from chat.models import ChatSession, OpenSocket, Process
from chat.protocol import Close, Code, Refused
from tests.parts.in_process import InProcessSite


async def until(condition: Callable[[], bool]) -> None:
    """Return when the database is as the condition asks."""
    async with asyncio.timeout(10):
        while not await query(condition):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


async def test_sockets_of_a_user(inside: InProcessSite, settings: Any) -> None:
    """One too many is told when to come back and closed with a code that means so; room is made by any that leaves."""
    settings.SOCKETS_PER_USER = 2
    user = await inside.user()
    first, _ = await inside.tab(user, "one"), await inside.tab(user, "two")
    await first.until_frame("connected")
    third = await inside.tab(user, "three")
    data = (await third.until_frame("error"))["data"]
    assert data["code"] == Code.LIMIT_REACHED
    assert data["retry_after"] == 10
    assert data["message"] == "You have as many connections open as you may (2); close some. Try again in 10 seconds."
    assert await third.until_closed() == Close.TOO_MANY
    assert 4000 <= Close.TOO_MANY < 4500
    assert not await query(ChatSession.objects.filter(public_id="three").exists)
    other = await inside.tab(await inside.user("bob"), "bobs")
    await other.until_frame("connected")
    await first.close()
    await until(lambda: OpenSocket.objects.filter(user=user).count() == 1)
    again = await inside.tab(user, "three")
    await again.until_frame("connected")


async def test_a_socket_that_is_sent_away_is_not_counted(inside: InProcessSite, settings: Any) -> None:
    """Neither one without a login, nor one for somebody else's session."""
    await (await inside.tab(await inside.user("bob"), "bobs")).until_frame("connected")
    stranger = await inside.tab(await inside.user(), "bobs")
    assert await stranger.until_closed() == Close.NOT_FOUND
    nobody = await inside.tab(None, "bobs")
    assert await nobody.until_closed() == Close.SIGNED_OUT
    await until(lambda: list(OpenSocket.objects.values_list("user__username", flat=True)) == ["bob"])


async def test_a_socket_whose_opening_is_cut_off_is_not_counted(inside: InProcessSite) -> None:
    """Cancelled while its row is being written, it leaves no row behind."""
    user = await inside.user()
    writing, go_on, written = threading.Event(), threading.Event(), threading.Event()

    def record(socket_id: uuid.UUID, process: str) -> None:
        writing.set()
        go_on.wait(10)
        quotas.open_socket(socket_id, process, user_id=user.pk)
        assert OpenSocket.objects.filter(pk=socket_id).exists()
        written.set()

    # With somebody's socket open, the process is known already.
    await (await inside.tab(await inside.user("bob"), "bobs")).until_frame("connected")
    opening = asyncio.create_task(processes.current().open_socket(user.pk, record))
    await asyncio.to_thread(writing.wait, 10)
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    go_on.set()
    assert await asyncio.to_thread(written.wait, 10)
    await until(lambda: not OpenSocket.objects.filter(user=user).exists())


@pytest.mark.django_db
def test_the_sockets_of_a_server_that_died_do_not_count(settings: Any) -> None:
    """From the moment on when it counts as dead, though its rows are still there; until then they do."""
    settings.SOCKETS_PER_USER = 1
    user = User.objects.create_user("ada")
    silence = processes.DEAD_AFTER * settings.PROCESS_SECONDS
    processes.announce("here", "web", opened={}, closed=())
    other = Process.objects.create(name="there", kind="web", seen_at=timezone.now() - timedelta(seconds=silence - 1))
    OpenSocket.objects.create(process=other, user=user, opened_at=timezone.now())
    with pytest.raises(Refused):
        quotas.open_socket(uuid.uuid4(), "here", user_id=user.pk)
    Process.objects.filter(pk="there").update(seen_at=timezone.now() - timedelta(seconds=silence + 0.1))
    quotas.open_socket(uuid.uuid4(), "here", user_id=user.pk)
    assert OpenSocket.objects.count() == 2
