"""Connections to PostgreSQL that give up on a server which does not answer.

A server that is frozen keeps its connections open and says nothing: neither its own time-outs nor TCP's ever end the wait, and
every thread that asks it would be gone for good.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from psycopg import AsyncConnection, Connection, Notify, OperationalError
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow
from psycopg.waiting import wait_async

T = TypeVar("T")

A_YEAR = 365 * 24 * 3600.0

_seconds: float | None = None


class NoAnswer(OperationalError):
    """The server did not answer in time."""

    def __init__(self) -> None:
        super().__init__("The database does not answer.")


def bound(seconds: float | None) -> None:
    """From now on no answer is waited for longer than this. For processes that serve: a migration may take its time."""
    global _seconds  # noqa: PLW0603 - of the process, as its connections are
    _seconds = seconds


class BoundedConnection(Connection[TupleRow]):
    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """psycopg waits for every answer here. Raises `NoAnswer` after the bound, and closes the connection: what the server
        made of the statement is not known.
        """
        if _seconds is None or timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, _seconds)
        except _WaitTimeout:
            self.close()
            raise NoAnswer from None


class BoundedAsyncConnection(AsyncConnection[TupleRow]):
    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As `BoundedConnection.wait`. Cancelled while a statement is under way, it closes the connection, which ends the
        statement; psycopg would ask the server to cancel it, and wait for a frozen one for 10 s.
        """
        try:
            return await wait_async(gen, self.pgconn.socket, interval, _seconds if timeout is None else timeout)
        except _WaitTimeout:
            if timeout is not None:
                raise
            await self.close()
            raise NoAnswer from None
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self.close()
            raise

    async def notifies(
        self, *, timeout: float | None = None, stop_after: int | None = None
    ) -> AsyncGenerator[Notify, None]:
        """psycopg's, whose silence is no fault: without a time-out it waits for as long as it takes."""
        heard = super().notifies(timeout=A_YEAR if timeout is None else timeout, stop_after=stop_after)
        async with contextlib.aclosing(heard):
            async for notify in heard:
                yield notify
