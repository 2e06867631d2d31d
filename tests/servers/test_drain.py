"""A real web process that is told to end: it says so, finishes what it has, and is gone in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import websockets

from chat.protocol import Close
from tests.parts.redis_server import RedisServer
from tests.parts.server import Server
from tests.parts.site_process import NewSite
from tests.parts.socket_client import open_socket


@contextlib.asynccontextmanager
async def asked_for_readiness(server: Server) -> AsyncIterator[asyncio.StreamReader]:
    """A request that the server has read, and that it can't answer for a while where Redis hangs."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await writer.drain()
        async with httpx.AsyncClient(base_url=server.origin, trust_env=False, timeout=20) as client:
            # What came first is read first.
            await client.get("/healthz")
        yield reader
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def test_while_it_drains(new_site: NewSite, own_redis: RedisServer) -> None:
    """Sockets are told and closed, `/readyz` is 503, newcomers are sent elsewhere, and the request in flight is answered."""
    site = new_site(redis=own_redis)
    server = site.servers[0]
    user = site.new_user()
    socket = await open_socket(server, user, "draining")
    await socket.receive_until("connected")
    # Asks Redis, which hangs: this request takes two seconds.
    own_redis.pause()
    async with (
        httpx.AsyncClient(base_url=server.origin, trust_env=False, timeout=20) as client,
        asked_for_readiness(server) as in_flight,
    ):
        server._child.signal(signal.SIGTERM)
        going_away = await socket.receive_until("going_away")
        assert going_away["data"] == {"spread": 5}
        assert await socket.closed() == Close.RESTART
        draining = await client.get("/readyz")
        assert (draining.status_code, draining.json()) == (503, {"status": "draining"})
        late = await open_socket(server, user, "draining")
        assert await late.closed() == Close.RESTART
        assert [frame["type"] for frame in late.frames] == ["going_away"]
        answer = json.loads((await in_flight.read()).partition(b"\r\n\r\n")[2])
        assert (answer["status"], answer["database"]) == ("unavailable", "ok")
    assert await asyncio.to_thread(server._child.process.wait, 20) == 0
    own_redis.resume()
    assert "Traceback" not in server.output()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_with_nobody_there_it_ends_at_once(new_site: NewSite, number: signal.Signals) -> None:
    """Ctrl-C of `make run` gives the prompt back."""
    server = new_site().servers[0]
    asked = time.monotonic()
    server._child.signal(number)
    while "Stopped." not in server.output():
        assert time.monotonic() - asked < 10
        time.sleep(0.01)
    assert server._child.process.wait(20) == 0


async def test_what_does_not_end_is_cut_after_the_time_for_it(new_site: NewSite, own_redis: RedisServer) -> None:
    """A request that takes longer than `DRAIN_SECONDS` does not keep the process; the log says how many there were."""
    server = new_site(redis=own_redis, DRAIN_SECONDS="0.3", READY_SECONDS="60").servers[0]
    own_redis.pause()
    async with asked_for_readiness(server) as in_flight:
        assert await asyncio.to_thread(server.term) == 0
        own_redis.resume()
        answer = await in_flight.read()
    # What is cut may still get out that it was: never that the server is ready.
    assert answer == b"" or answer.startswith(b"HTTP/1.1 503")
    assert "Ending with 1 requests and sockets under way" in server.output()


async def test_the_second_signal_does_not_wait(new_site: NewSite, own_redis: RedisServer) -> None:
    """Whoever presses Ctrl-C twice means it: the process ends there and then, whatever it waits for."""
    server = new_site(redis=own_redis, DRAIN_SECONDS="60").servers[0]
    own_redis.pause()
    async with (
        httpx.AsyncClient(base_url=server.origin, trust_env=False, timeout=20) as client,
        asked_for_readiness(server),
    ):
        server._child.signal(signal.SIGINT)
        while (await client.get("/readyz")).json() != {"status": "draining"}:
            pass
        server._child.signal(signal.SIGINT)
        assert await asyncio.to_thread(server._child.process.wait, 20) == -signal.SIGINT
    own_redis.resume()


async def test_a_silent_peer_is_not_waited_for(new_site: NewSite) -> None:
    """A client that never answers the close costs its second, not the time for all."""
    site = new_site(DRAIN_SECONDS="30")
    server = site.servers[0]
    url = server.origin.replace("http", "ws") + "/ws/chat/silent"
    async with websockets.connect(url, additional_headers={"Cookie": server.cookie(site.new_user())}) as connection:
        await connection.recv()
        connection.transport.pause_reading()
        assert await asyncio.to_thread(server.term) == 0
        connection.transport.resume_reading()
