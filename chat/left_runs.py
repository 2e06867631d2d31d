"""Runs that an operator took from this worker: it leaves them to others for a moment, if there are any."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from chat import processes, recovery
from chat.database import query

if TYPE_CHECKING:
    from chat.driving import Driving

# How often, and for how long each time. Nobody knows whether another worker serves the run's queue, so after that it goes on here.
TIMES = 10
SECONDS = 0.2


class LeftRuns:
    """See the module."""

    def __init__(self) -> None:
        self._left: Counter[str] = Counter()

    async def leave(self, run_id: str, driving: Driving | None) -> bool:
        """End driving the run, which the queue has brought here once more, and wait a moment; then whether it is to be left to
        other workers.
        """
        if driving is not None:
            driving.let_go()
        self._left[run_id] += 1
        await asyncio.sleep(SECONDS)
        if self._left[run_id] < TIMES and await query(recovery.others_work, processes.NAME):
            return True
        del self._left[run_id]
        return False
