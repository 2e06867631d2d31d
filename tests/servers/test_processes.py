"""What the database knows of the processes of a whole stack."""

from __future__ import annotations

import asyncio
from collections import Counter

from chat.protocol import Close
from tests.parts.socket_client import open_socket
from tests.parts.stack import NewStack, Stack


def living(stack: Stack) -> Counter[str]:
    return Counter(row["kind"] for row in stack.query("SELECT kind FROM chat_process"))


async def until(stack: Stack, **kinds: int) -> None:
    """Return when so many processes of each kind are known."""
    async with asyncio.timeout(20):
        while living(stack) != Counter(kinds):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.05)


async def test_web_servers_and_workers_are_known_for_as_long_as_they_live(new_stack: NewStack) -> None:
    """One that ends in order takes itself and its sockets out at once, a killed one is taken out by the others. Their sockets
    make room, on PostgreSQL and without Redis.
    """
    stack = new_stack(webs=2, workers=2, SOCKETS_PER_USER="2", PROCESS_SECONDS="0.5")
    user, (one, two), (first, second) = stack.new_user(), stack.webs, stack.workers
    await until(stack, web=2, worker=2)
    stack.redis.stop()
    for number in range(2):
        socket = await open_socket(one, user, f"s-{number}", acknowledging=False)
        await socket.receive_until("connected")
    refused = await open_socket(two, user, "s-3", acknowledging=False)
    assert (await refused.receive_until("error"))["data"]["retry_after"] == 3
    assert await refused.closed() == Close.TOO_MANY
    assert first.term() == 0
    assert living(stack) == Counter(web=2, worker=1)
    second.kill()
    await until(stack, web=2)
    one.kill()
    await until(stack, web=1)
    assert stack.query("SELECT * FROM chat_opensocket") == []
    back = await open_socket(two, user, "s-3", acknowledging=False)
    await back.receive_until("connected")
    assert len(stack.query("SELECT * FROM chat_opensocket")) == 1
    assert two.term() == 0
    assert living(stack) == Counter()
    assert stack.query("SELECT * FROM chat_opensocket") == []
