"""What is asked of whoever drives a session's run, in this process or in a worker: to begin, to stop, to tell its drafts."""

from __future__ import annotations

import asyncio
import contextlib

from django.conf import settings

from chat import driver, events, group, recovery, runs
from chat.database import query, write

PROBE_SECONDS = 1.0

_probing: set[asyncio.Task[None]] = set()


def start() -> None:
    """Begin what a process does beside its requests or its jobs: drive runs where no worker does, and try the channel layer.
    Calling it again does nothing.
    """
    if not settings.HAS_WORKERS:
        driver.current()
    if settings.REDIS_URL and not any(task.get_loop() is asyncio.get_running_loop() for task in _probing):
        task = asyncio.create_task(_probe())
        _probing.add(task)
        task.add_done_callback(_probing.discard)


async def _probe() -> None:
    """Find out that the layer is away before somebody's announcement is lost, so that sockets ask meanwhile, and that it is back,
    so that those who were not told something hear of it.
    """
    while True:
        await group.layer_answers()
        await asyncio.sleep(PROBE_SECONDS)


async def hand_over() -> None:
    """This process ends: what it drives itself is cut and goes on in another, or here after the restart."""
    if not settings.HAS_WORKERS:
        await driver.current().drain(0)


def wake(session_id: int) -> None:
    """A message was recorded. Where workers drive, it is in their queue since then."""
    if not settings.HAS_WORKERS:
        driver.current().wake(session_id)


async def stop(session_id: int, run_id: str | None = None) -> runs.Stopping:
    """Record that a run of the session is to stop (see `runs.stop`) and tell whoever drives it.

    The run has ended when its end is recorded.
    """
    stopping = await write(runs.stop, session_id, run_id)
    await events.announce(session_id, stopping.recorded)
    if stopping.run_id and not stopping.recorded:
        await look(session_id)
    return stopping


async def look(session_id: int) -> None:
    """Have whoever drives the session's run look at once into the database, where a stop is recorded, or that it was taken."""
    await group.mention(group.of_driver(session_id), {"type": "look", "session": session_id})


async def end_if_lost(session_id: int) -> None:
    """End the session's run where its stop is recorded and its worker is gone: there may be no other to do so."""
    found = await query(recovery.stopped_and_abandoned, session_id) if settings.HAS_WORKERS else None
    if found is None:
        return
    run_id, attempt = found
    with contextlib.suppress(events.Superseded):
        ended = await write(recovery.take_over, run_id, attempt=attempt, worker="")
        # With its stop recorded, a lost run has nothing left to do.
        await events.announce(session_id, ended.recorded)


async def want_drafts(session_id: int, channel: str) -> None:
    """Ask whoever drives the session's run to send its drafts so far to a channel."""
    await group.mention(
        group.of_driver(session_id), {"type": "drafts.wanted", "session": session_id, "channel": channel}
    )
