"""A worker: takes runs from the queue and drives them, hundreds at once in one event loop.

The queue only brings them. Whether a run may be driven, and by whom, the database says (`runs.claim`, `recovery.take_over`), so a
job that is lost, late or doubled does no harm.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from django.conf import settings
from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.jobs import Status
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.worker import Worker
from psycopg import AsyncConnection

from chat import driver, processes, remote

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0
HEARTBEAT_SECONDS = 5.0
STALLED_SECONDS = 20.0
CONNECTIONS = 4


async def work(
    *,
    concurrency: int,
    queues: Sequence[str] | None,
    connection_class: type[AsyncConnection],
    ready: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Take and drive runs until `stop` is set, then drain. `ready` is told the worker's name once it takes runs.

    `concurrency` bounds the runs at once; None for `queues` is all of them. A database that is away is waited for; so is
    one that hangs, if the connections are of a class that notices.
    """
    presence = processes.current("worker")
    mine = driver.begin(driver.Driver(capacity=concurrency))
    remote.start()
    taking = asyncio.create_task(
        _keep_taking(
            concurrency=concurrency, queues=queues, connection_class=connection_class, name=mine.worker, ready=ready
        )
    )
    try:
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([taking, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        taking.cancel()
        logger.info("Draining: %d runs are under way", mine.active)
        # The end of the runs does not wait for that of the queue, which a database that hangs holds up.
        await asyncio.gather(
            mine.drain(settings.GRACE_SECONDS), asyncio.wait([taking], timeout=settings.DATABASE_SECONDS)
        )
    finally:
        await mine.close()
        driver.forget()
        await presence.close()
        processes.forget()


async def _keep_taking(
    *,
    concurrency: int,
    queues: Sequence[str] | None,
    connection_class: type[AsyncConnection],
    name: str,
    ready: Callable[[str], None],
) -> None:
    """Take runs from the queue, again and again for as long as the database comes back."""
    is_first = True
    while True:
        connector = PsycopgConnector(
            connection_class=connection_class,
            kwargs=connector_params(),
            min_size=1,
            max_size=CONNECTIONS,
            timeout=settings.DATABASE_SECONDS,
        )
        with app.replace_connector(connector) as queue:
            try:
                async with queue.open_async():
                    taking = _worker(queue, concurrency=concurrency, queues=queues, name=name)
                    if is_first:
                        ready(name)
                        is_first = False
                    async with asyncio.TaskGroup() as group:
                        group.create_task(_keep_tidy(queue))
                        await taking.run()  # type: ignore[no-untyped-call] # it has no return type
                        raise _TakingEnded
            except Exception as error:  # noqa: BLE001 - whatever ends the taking, the runs under way go on and it begins anew
                logger.warning("The worker takes no runs for a moment: %s", type(error).__name__)
        await asyncio.sleep(AGAIN_SECONDS)


class _TakingEnded(Exception):
    """The worker stopped by itself: its connection to the database broke."""


async def _keep_tidy(queue: App) -> None:
    """Remove the jobs of workers that died: their runs are found by their leases, nobody else comes for these."""
    while True:
        for job in await queue.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
            await queue.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
        await asyncio.sleep(STALLED_SECONDS)


def _worker(queue: App, *, concurrency: int, queues: Sequence[str] | None, name: str) -> Worker:
    return Worker(
        app=queue,
        queues=queues,
        name=name,
        concurrency=concurrency,
        fetch_job_polling_interval=settings.PICKUP_SECONDS,
        # The driver keeps the runs; the queue's own tasks need not be waited for.
        shutdown_graceful_timeout=0,
        delete_jobs="always",
        install_signal_handlers=False,
        update_heartbeat_interval=HEARTBEAT_SECONDS,
        stalled_worker_timeout=STALLED_SECONDS,
    )
