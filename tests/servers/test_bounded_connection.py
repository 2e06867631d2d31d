"""Connections that give up on a PostgreSQL which does not answer; a worker's queue has these, too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from reasoning_site import bounded_connection
from reasoning_site.bounded_connection import BoundedAsyncConnection, BoundedConnection, NoAnswer
from tests.parts.postgres_server import PostgresServer

SECONDS = 0.3
# More than a server that is alive needs on a machine that does much else.
AMPLE = 20.0
# Far more than the bound, and less than what psycopg gives a frozen server to cancel a statement.
SOON = 4.0
SLOW = "SELECT pg_sleep(60)"


@pytest.fixture(autouse=True)
def bound() -> Iterator[None]:
    bounded_connection.bound(SECONDS)
    yield
    bounded_connection.bound(None)


@pytest.fixture
async def connection(own_postgres: PostgresServer) -> AsyncIterator[BoundedAsyncConnection]:
    async with await BoundedAsyncConnection.connect(own_postgres.url, autocommit=True) as connection:
        yield connection


def test_a_statement_is_not_waited_for_longer_than_the_bound(own_postgres: PostgresServer) -> None:
    with BoundedConnection.connect(own_postgres.url, autocommit=True) as connection:
        own_postgres.pause()
        with pytest.raises(NoAnswer):
            connection.execute("SELECT 1")
        assert connection.closed


async def test_an_asynchronous_statement_is_not_either(
    own_postgres: PostgresServer, connection: BoundedAsyncConnection
) -> None:
    own_postgres.pause()
    async with asyncio.timeout(SOON):
        with pytest.raises(NoAnswer):
            await connection.execute("SELECT 1")
    assert connection.closed


async def test_a_cancelled_statement_of_a_frozen_server_ends_at_once(
    own_postgres: PostgresServer, connection: BoundedAsyncConnection
) -> None:
    """A worker that is told to end cancels what it waits for."""
    bounded_connection.bound(AMPLE)
    own_postgres.pause()
    asking = asyncio.create_task(connection.execute("SELECT 1"))
    await asyncio.sleep(0.1)
    asking.cancel()
    # Not a time-out around it, which would cancel it a second time.
    await asyncio.wait([asking], timeout=SOON)
    assert asking.cancelled()
    assert connection.closed


async def test_a_cancelled_statement_ends_in_the_server_as_well(own_postgres: PostgresServer) -> None:
    bounded_connection.bound(AMPLE)
    watched = "-c client_connection_check_interval=100"
    connection = await BoundedAsyncConnection.connect(own_postgres.url, autocommit=True, options=watched)
    asking = asyncio.create_task(connection.execute(SLOW))
    under_way = "SELECT pid FROM pg_stat_activity WHERE query = %s AND state = 'active'"
    async with asyncio.timeout(20):
        while not own_postgres.query(under_way, SLOW):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        while own_postgres.query(under_way, SLOW):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


async def test_silence_is_not_a_fault_of_one_that_listens(
    own_postgres: PostgresServer, connection: BoundedAsyncConnection
) -> None:
    """Several times the bound; and a listener that was cut short leaves its connection fit for use."""
    bounded_connection.bound(AMPLE)
    await connection.execute("LISTEN jobs")
    bounded_connection.bound(SECONDS)
    async with contextlib.aclosing(connection.notifies()) as heard:
        hearing = asyncio.ensure_future(anext(heard))
        await asyncio.sleep(3 * SECONDS)
        assert not hearing.done()
        own_postgres.query("NOTIFY jobs, 'first'")
        assert (await hearing).payload == "first"
    assert [notify async for notify in connection.notifies(timeout=0.1)] == []
    hearing = asyncio.ensure_future(anext(connection.notifies()))
    await asyncio.sleep(0.05)
    hearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hearing
    bounded_connection.bound(AMPLE)
    assert (await (await connection.execute("SELECT 1")).fetchone()) == (1,)


async def test_an_error_of_the_server_is_its_own(connection: BoundedAsyncConnection) -> None:
    bounded_connection.bound(AMPLE)
    with pytest.raises(psycopg.errors.UndefinedTable):
        await connection.execute("SELECT * FROM nothing")
    assert not connection.closed
