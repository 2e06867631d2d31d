"""A large export whose reader is slow: it waits for the reader, in the database and not in the server's memory."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from tests.parts.site_process import NewSite
from tests.servers.test_limits import MIB, memory

STEPS = 600
LENGTH = 100_000

PLANT = f"""
from django.contrib.auth.models import User
from django.utils import timezone
from chat.models import ChatSession, Event, EventType, Run, RunState
from chat.transcripts import exporting
owner = User.objects.get(username="{{user}}")
session = ChatSession.objects.create(public_id="s", owner=owner, agent="researcher", head={STEPS})
run = Run.objects.create(
    session=session, client_id="c", seq=1, message="m", agent="researcher", state=RunState.COMPLETED, attempt=1,
    ended_at=timezone.now(),
)
Event.objects.bulk_create(
    Event(
        session=session, run=run, seq=number, attempt=1, type=EventType.STEP, step=number, step_type="thought",
        iteration=1, content=f"{{{{number:06}}}}" + "x" * {LENGTH}, created_at=timezone.now(),
    )
    for number in range(1, {STEPS} + 1)
)
export = exporting.begin(owner, exporting.selected(ChatSession.objects.all(), owner), form="jsonl", described="all")
print(f"export={{{{export.pk}}}}")
"""


@pytest.mark.long
@pytest.mark.parametrize("leaves", [False, True], ids=["reads on", "leaves"])
async def test_a_download_that_nobody_reads_costs_little(new_site: NewSite, leaves: bool) -> None:
    """60 MB: what the server has in memory for it is bounded while its reader pauses; then all of it comes, or it ends."""
    site = new_site()
    user = site.new_user(admin=True)
    site.sign_in(user)
    export = site.manage("shell", "-c", PLANT.format(user=user.name)).partition("export=")[2].split()[0]
    server = site.servers[0]
    headers = {"Cookie": site.cookie(user)}
    async with httpx.AsyncClient(base_url=server.origin, headers=headers, trust_env=False, timeout=60) as client:
        # Once before: what is imported and compiled for it is nobody's.
        await client.get(f"/admin/chat/export/{export}/part/")
        before = memory(server)
        async with client.stream("GET", f"/admin/chat/export/{export}/download/") as answer:
            assert answer.status_code == 200
            pieces = answer.aiter_bytes()
            content = [await anext(pieces)]
            for _ in range(20):
                await asyncio.sleep(0.1)
                assert memory(server) - before < 40 * MIB
            if not leaves:
                content += [piece async for piece in pieces]
    if leaves:
        await asyncio.to_thread(server.term)
        assert "under way" not in server.output()
        return
    steps = [json.loads(line) for line in b"".join(content).splitlines() if b'"line":"event"' in line]
    assert [step["content"][:6] for step in steps] == [f"{number:06}" for number in range(1, STEPS + 1)]
    assert {len(step["content"]) for step in steps} == {LENGTH + 6}
