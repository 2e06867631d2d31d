"""The tools of chaos do what the faults rely on: the relay breaks at a commit, packets are lost, gates hold, clocks are off."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.chaos import clock_faults, gatekeeper, ledger, lossy
from tests.chaos.evidence import Effect
from tests.chaos.relay import Relay
from tests.parts.postgres_server import Database, PostgresServer

INSERT = "INSERT INTO \"chat_event\" (name) VALUES ('{}')"


@pytest.fixture
async def relay(postgres_server: PostgresServer) -> Relay:
    relay = Relay(postgres_server.port)
    await relay.start()
    return relay


@pytest.fixture
def database(postgres_server: PostgresServer) -> Database:
    """A database that has a table of that name, and nothing else of the site."""
    database = postgres_server.new_database()
    database.query('CREATE TABLE "chat_event" (name text)')
    return database


def through(relay: Relay, server: PostgresServer, database: Database) -> str:
    return database.url.replace(f":{server.port}/", f":{relay.port}/")


def record(url: str, name: str) -> None:
    """One transaction that records an event, the way the site does it."""
    with psycopg.connect(url, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(INSERT.format(name).encode())


@pytest.mark.parametrize("delivered", [True, False])
async def test_a_commit_is_cut_before_or_after_it_took_place(
    relay: Relay, postgres_server: PostgresServer, database: Database, delivered: bool
) -> None:
    """Its sender learns the same in both cases: the connection is gone. The one before it and the one after it go through."""
    url = through(relay, postgres_server, database)
    await asyncio.to_thread(record, url, "before")
    cut = relay.cut(b"cut", delivered=delivered)
    await asyncio.to_thread(record, url, "another")
    with pytest.raises(psycopg.OperationalError):
        await asyncio.to_thread(record, url, "cut")
    await cut.done
    await asyncio.to_thread(record, url, "after")
    names = [row["name"] for row in database.query('SELECT name FROM "chat_event"')]
    assert names == (["before", "another", "cut", "after"] if delivered else ["before", "another", "after"])
    await relay.close()


async def test_a_message_is_held_until_it_is_let_go(
    relay: Relay, postgres_server: PostgresServer, database: Database
) -> None:
    url = through(relay, postgres_server, database)
    hold = relay.hold(b"chat_event", b"the one")
    await asyncio.to_thread(record, url, "another")
    held = asyncio.create_task(asyncio.to_thread(record, url, "the one"))
    await hold.reached
    assert [row["name"] for row in database.query('SELECT name FROM "chat_event"')] == ["another"]
    hold.released.set()
    await held
    assert len(database.query('SELECT name FROM "chat_event"')) == 2
    await relay.close()


async def test_what_is_held_is_never_sent_where_its_sender_has_gone(
    relay: Relay, postgres_server: PostgresServer, database: Database
) -> None:
    hold = relay.hold(b"the one")
    script = f"import psycopg\npsycopg.connect({through(relay, postgres_server, database)!r}).execute({INSERT.format('the one')!r})"
    sender = subprocess.Popen([sys.executable, "-c", script])
    await hold.reached
    sender.kill()
    sender.wait()
    (count,) = database.query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'active'"
    )
    while count["count"]:
        await asyncio.sleep(0.01)
        (count,) = database.query(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'active'"
        )
    assert database.query('SELECT name FROM "chat_event"') == []
    await relay.close()


@pytest.mark.skipif(not lossy.available(), reason="this system has no socket filters")
def test_lost_packets_are_sent_again_and_nothing_is_missing() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()) as one, listening.accept()[0] as other:
            lossy.lose(other, 0.4)
            other.settimeout(30)
            sent = b""
            for number in range(40):
                one.sendall(b"%d " % number)
                sent += b"%d " % number
            received = b""
            while len(received) < len(sent):
                received += other.recv(4096)
            assert received == sent
            # tcpi_total_retrans of linux/tcp.h
            info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            assert int.from_bytes(info[100:104], sys.byteorder) > 0


async def test_a_gate_tells_who_stands_there_and_lets_through_when_it_is_opened() -> None:
    gates = gatekeeper.Gatekeeper()
    await gates.start()
    standing = asyncio.create_task(gatekeeper.knock(gates.port, "gate"))
    assert await gates.at("gate") == os.getpid()
    assert not standing.done()
    gates.open("gate")
    await standing
    await gatekeeper.knock(gates.port, "gate")
    gates.close()


def test_the_ledger_keeps_what_several_write(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    assert ledger.read(path) == []
    ledger.write(path, tool="ledger", mark="s.1")
    ledger.write(path, tool="glance", mark="s.2")
    assert ledger.read(path) == [Effect(tool="ledger", mark="s.1"), Effect(tool="glance", mark="s.2")]


@pytest.mark.skipif(not clock_faults.available(), reason="there is no libfaketime")
def test_a_clock_is_a_day_off_and_the_monotonic_one_is_not() -> None:
    code = "import time; print(time.time(), time.monotonic())"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **clock_faults.environment("-1d")},
        capture_output=True,
        text=True,
        check=True,
    )
    wall, monotonic = map(float, told.stdout.split())
    assert abs(time.time() - 86_400 - wall) < 60
    assert abs(time.monotonic() - monotonic) < 60
