"""The database from `DATABASE_URL`: PostgreSQL with a pool and time-outs, or without one SQLite in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from reasoning_site.bounded_connection import BoundedConnection

POSTGRESQL = "django.db.backends.postgresql"


def database(url: str, *, sqlite: Path, seconds: float, connections: int) -> dict[str, Any]:
    """Django's settings for the database at `url`, or for SQLite in a file where `url` is empty.

    `seconds` bounds a connection attempt, the wait for a lock, the wait for a connection of the pool and a transaction that
    does nothing; `bounded_connection` bounds statements. `connections` is how many there are in this process. What stands
    behind the `?` of a URL goes to libpq: `sslmode`, `sslrootcert` and others. Raises `ImproperlyConfigured` for any other
    kind of URL.
    """
    if not url:
        return _sqlite(sqlite)
    try:
        parsed: dict[str, Any] = dict(dj_database_url.parse(url, conn_health_checks=True))
    except ValueError:
        parsed = {}
    if parsed.get("ENGINE") != POSTGRESQL or not parsed.get("NAME"):
        raise ImproperlyConfigured("DATABASE_URL must be of the form postgresql://user:password@host:5432/database.")
    milliseconds = int(seconds * 1000)
    return {
        **parsed,
        "CONN_MAX_AGE": 0,
        # A connection that the server closed meanwhile is replaced before it is used, not found out by a failed write.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": max(2, int(seconds)),
            "application_name": "glassbox",
            # A network that is cut sends nothing, not even an error.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": milliseconds,
            # The last but one makes the server give up a statement whose client is gone, and with it the locks that it holds. To
            # compile a statement takes longer than any of ours runs.
            "options": f"-c lock_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
            " -c client_connection_check_interval=2000 -c jit=off",
            **parsed.get("OPTIONS", {}),
            "pool": {
                "connection_class": BoundedConnection,
                "min_size": 1,
                "max_size": connections,
                "timeout": seconds,
                # Else it waits longer after each attempt that failed, in the end much longer than the outage. Given up, the next
                # query begins a new one.
                "reconnect_timeout": 1,
                "max_idle": 300,
            },
        },
    }


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        # To open a file anew for each query costs twice as much as the query; no server could have closed it meanwhile.
        "CONN_MAX_AGE": None,
        # A transaction takes its write lock when it begins: one that reads first and writes later would fail with
        # "database is locked" as soon as two run at once.
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 10,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
