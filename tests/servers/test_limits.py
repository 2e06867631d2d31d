"""What one client may cost the others: slow readers, floods, silence."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from chat.protocol import Close
from tests.parts.model_script import Gate, Text
from tests.parts.model_server import ModelServer
from tests.parts.redis_server import RedisServer
from tests.parts.site_process import NewSite, Server
from tests.parts.socket_client import open_socket, open_tab

MIB = 1024 * 1024


def memory(server: Server) -> int:
    """Resident bytes of the server's process."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.mark.long
async def test_a_client_that_stops_reading(new_site: NewSite, model_server: ModelServer) -> None:
    """It costs a bounded amount of memory and is cut off; the tab beside it misses nothing; back again, neither does
    it.
    """
    site = new_site(SLOW_SECONDS="2")
    user = site.new_user()
    # 6 MB in deltas, and again in the recorded step.
    words = ["x" * 4000 + " "] * 1500
    name = model_server.script([Gate("go"), Text(words)])
    async with open_tab(site, user, "s") as reader:
        slow = await open_socket(site, user, "s")
        await slow.send("resume", after=0)
        await slow.receive_until("resumed")
        async with slow.paused():
            run_id = await reader.say(f"script:{name}")
            before = memory(site.servers[0])
            model_server.open("go")
            await reader.until_ended(run_id, timeout=50)
            # Longer than a slow reader is waited for.
            await asyncio.sleep(5)
            assert memory(site.servers[0]) - before < 100 * MIB
        assert await slow.closed(timeout=20) in (Close.TOO_SLOW, 1006)
        assert reader.close_codes == []
        async with open_tab(site, user, "s") as back:
            await back.until_current()
            assert back.transcript() == reader.transcript()


async def test_a_flood(new_site: NewSite) -> None:
    """A client that only sends is closed with a code that says why; memory stays bounded, others are served."""
    site = new_site()
    user = site.new_user()
    flooder = await open_socket(site, user, "flood")
    await flooder.receive_until("connected")
    before = memory(site.servers[0])
    junk = '{"type":"ping","timestamp":"' + "x" * 60_000 + '"}'
    with contextlib.suppress(ConnectionClosed):
        for _ in range(2_000):
            await flooder.send_raw(junk)
    assert await flooder.closed(timeout=30) in (Close.FLOOD, 1006)
    assert any(frame["data"].get("code") == "rate_limited" for frame in flooder.frames)
    assert memory(site.servers[0]) - before < 250 * MIB
    async with open_tab(site, user, "s") as tab:
        await tab.until_current()


async def test_an_idle_socket_outlives_every_time_out(
    new_site: NewSite, redis_server: RedisServer, model_server: ModelServer
) -> None:
    """After a silence longer than all time-outs of client, server and Redis, what the other server says arrives live."""
    site = new_site(servers=2, redis=redis_server, PING_SECONDS="1", PING_TIMEOUT_SECONDS="2", LAYER_SECONDS="1")
    user = site.new_user()
    name = model_server.script([Text("still there")])
    idle = await open_socket(site.servers[0], user, "s", acknowledging=False)
    await idle.receive_until("connected")
    # redis-py gives up on a silent connection after 5 s unless told otherwise; Daphne here after 2 s.
    assert await idle.silence(8) == []
    async with open_tab(site.servers[1], user, "s") as tab:
        run_id = await tab.say(f"script:{name}")
        await tab.until_ended(run_id)
    end = await idle.receive_until("reasoning_complete")
    assert end["run_id"] == run_id
    assert any(frame["type"] == "reasoning_delta" for frame in idle.frames)
    await idle.close()


async def test_a_frame_of_more_than_128_kib_closes_the_socket(new_site: NewSite) -> None:
    """Over 64 KiB is refused with a sentence; over the server's own bound the protocol has only the close code."""
    site = new_site()
    socket = await open_socket(site, site.new_user(), "s")
    await socket.send("ping", timestamp="x" * 70_000)
    assert (await socket.receive_until("error"))["data"]["code"] == "too_large"
    await socket.send("ping", timestamp="x" * 140_000)
    assert await socket.closed() in (1009, 1006)


async def test_one_slow_user_does_not_hold_up_another(new_site: NewSite, model_server: ModelServer) -> None:
    """While one user's socket is being slowed down, another's ping is answered."""
    site = new_site(FRAMES_AT_ONCE="5", FRAMES_PER_SECOND="2")
    slowed = await open_socket(site, site.new_user(), "a", acknowledging=False)
    other = await open_socket(site, site.new_user(), "b", acknowledging=False)
    for _ in range(7):
        await slowed.send("ping", timestamp=1)
    await other.send("ping", timestamp=2)
    await other.receive_until("pong")
    assert len([frame for frame in slowed.frames if frame["type"] == "pong"]) < 7
    await asyncio.gather(slowed.close(), other.close())
