"""The way from async code to the database: short, plain functions on threads of their own."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, close_old_connections

GRACE_SECONDS = 0.3
AGAIN_WITHIN_SECONDS = 0.5
# PostgreSQL's codes for a transaction that stood still for too long and was given up, and for a server that takes no writes while
# another one becomes the first of its cluster. Django calls both internal; they pass, as an OperationalError does.
AWAY = ("25P03", "25006")

P = ParamSpec("P")
T = TypeVar("T")

# Django's and Channels' own bridge runs all queries of a process on one thread, so that one slow query would hold up every
# socket. Here they share a few; those that write have their own, since on SQLite each may wait long for the one before.
_READING: Final = ThreadPoolExecutor(max_workers=6, thread_name_prefix="database-reading")
_WRITING: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="database-writing")
# A lease that is renewed too late is a run that is taken over: it never waits behind what others write.
_HOLDING: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database-holding")


async def query(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads the database and return what it returns."""
    return await _run(_READING, lambda: function(*args, **kwargs))


async def write(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that writes to the database and return what it returns. It is a transaction only if it opens one."""
    return await _run(_WRITING, lambda: function(*args, **kwargs))


async def write_repeatable(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `write`, for what does no harm when done twice: where the connection was cut, it is tried once more on another one. A
    database that does not answer is not waited for twice.
    """
    began = asyncio.get_running_loop().time()
    try:
        return await write(function, *args, **kwargs)
    except (OperationalError, InterfaceError):
        if asyncio.get_running_loop().time() - began > AGAIN_WITHIN_SECONDS:
            raise
        return await write(function, *args, **kwargs)


async def hold(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that writes what can't wait for other writers, and return what it returns. It runs after the one of the
    last call, also where that was cut off.
    """
    return await _run(_HOLDING, lambda: function(*args, **kwargs))


async def _run(threads: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    """Raises `OperationalError` where the database does not answer in time, the wait for a thread included; whether it has done
    what was asked is then not known.
    """
    # With what the task is about, for the log.
    context = contextvars.copy_context()
    work = asyncio.get_running_loop().run_in_executor(threads, context.run, _with_fresh_connection, function)
    if not settings.HAS_WORKERS:
        # A file does not hang; it is locked for a while, and waited for by a bound of its own.
        return await work
    try:
        # What no thread has begun by then is never begun. A thread gives up by itself, a moment earlier.
        return await asyncio.wait_for(work, settings.DATABASE_SECONDS + GRACE_SECONDS)
    except TimeoutError:
        raise OperationalError("The database does not answer.") from None


def _with_fresh_connection(function: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return function()
    except InternalError as error:
        if getattr(error.__cause__, "sqlstate", None) in AWAY:
            raise OperationalError(*error.args) from error
        raise
    finally:
        close_old_connections()
