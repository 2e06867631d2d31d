"""The sweep of a process that drives runs: finds runs that lost their process, and messages that nobody took up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

from django.conf import settings
from django.db import InterfaceError, OperationalError

from chat import events, recovery, run_queue, runs
from chat.database import query, write

logger = logging.getLogger(__name__)

# Messages that nobody took up are looked for at every fourth look for lost runs: the queue delivers, this is for its losses.
WAITING_SWEEPS = 4


class Sweeper:
    """What it finds goes to the workers' queue; where there is none, to `take_over` and `wake` of this process.

    `alone` is the name of a process that nothing connects with others: what it does not hold, nobody does. `holds` says whether
    a run is in this process's hands.
    """

    def __init__(
        self,
        *,
        alone: str | None,
        holds: Callable[[str], bool],
        take_over: Callable[[str, int], None],
        wake: Callable[[int], None],
    ) -> None:
        self._alone = alone
        self._holds = holds
        self._take_over = take_over
        self._wake = wake
        self._suspected: set[tuple[str, int]] = set()

    async def keep_sweeping(self) -> None:
        """Look again and again, until cancelled."""
        swept = 0
        while True:
            with survived("look for lost runs"):
                await self._lost()
            if swept % WAITING_SWEEPS == 0:
                with survived("look for waiting messages"):
                    await self._waiting()
            swept += 1
            await asyncio.sleep(settings.SWEEP_SECONDS)

    async def _lost(self) -> None:
        lost = set(await query(recovery.abandoned, mine_alone=self._alone))
        # Seen twice: after a database that was away, every lease has passed, and whoever lives needs a moment to renew.
        certain = lost if self._alone else lost & self._suspected
        self._suspected = lost
        for run_id, attempt in certain:
            if self._holds(run_id):
                continue
            if settings.HAS_WORKERS:
                await write(run_queue.enqueue_unfinished, run_id)
            else:
                self._take_over(run_id, attempt)

    async def _waiting(self) -> None:
        if settings.HAS_WORKERS:
            await write(run_queue.enqueue_forgotten)
        else:
            for session_id in await query(runs.sessions_waiting):
                self._wake(session_id)


@contextlib.contextmanager
def survived(what: str) -> Iterator[None]:
    """A driver's loops must outlive any failure of one round: without them no run is stopped, kept or found."""
    try:
        yield
    except events.Superseded as error:
        logger.info("It was too late to %s: %s", what, error)
    except (OperationalError, InterfaceError) as error:
        logger.warning("Could not %s: %s", what, type(error).__name__)
    except Exception:
        logger.exception("Could not %s", what)
