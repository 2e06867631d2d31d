"""The way from async code to the database: short, plain functions on threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

# Django's and Channels' own bridge runs all queries of a process on one thread, so that one slow query would hold up
# every socket. Here they share a few.
_THREADS: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="database")


async def query(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that uses the database and return what it returns. It is a transaction only if it opens one."""
    return await asyncio.get_running_loop().run_in_executor(
        _THREADS, lambda: _with_fresh_connection(function, *args, **kwargs)
    )


def _with_fresh_connection(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    close_old_connections()
    try:
        return function(*args, **kwargs)
    finally:
        close_old_connections()
