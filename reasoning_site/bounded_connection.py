"""Connections to PostgreSQL that give up on a server which does not answer.

A server that is frozen keeps its connections open and says nothing: neither its own time-outs nor TCP's ever end the wait, and
every thread that asks it would be gone for good.
"""

from __future__ import annotations

from typing import TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg.rows import TupleRow

T = TypeVar("T")

_seconds: float | None = None


class NoAnswer(OperationalError):
    """The server did not answer in time."""


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
            raise NoAnswer("The database does not answer.") from None
