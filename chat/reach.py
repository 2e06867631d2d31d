"""How others reach the runs that a process drives: the group of each run's session leads here.

What is lost on this way is found by another one: stops stand in the database, and a draft is replaced by its step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from channels.layers import get_channel_layer

from chat import group

if TYPE_CHECKING:
    from chat.driving import Driving

logger = logging.getLogger(__name__)

LISTEN_AGAIN_SECONDS = 2.0
JOIN_AGAIN_SECONDS = 1.0


class Reach:
    """`driven` are the runs under way. Who comes in the middle of one is sent its drafts; `look` is called with a run of which
    something was recorded that concerns it.
    """

    def __init__(self, *, driven: Callable[[], Iterable[Driving]], look: Callable[[Driving], None]) -> None:
        self._driven = driven
        self._look = look
        self._channel = ""
        self._joined: set[str] = set()

    async def listen(self) -> None:
        """Hear what is asked, until cancelled."""
        layer = get_channel_layer()
        while True:
            try:
                self._channel = self._channel or await layer.new_channel("driver")
                message = await layer.receive(self._channel)
            except Exception as error:  # noqa: BLE001 - the layer's errors have no base; stops still come by the database
                logger.warning("The driver could not listen: %s", type(error).__name__)
                await asyncio.sleep(LISTEN_AGAIN_SECONDS)
                continue
            for driving in [one for one in self._driven() if one.session_id == message["session"]]:
                match message["type"]:
                    case "drafts.wanted":
                        drafts = {"type": "drafts", "texts": driving.drafts.so_far()}
                        await group.reply(message["channel"], drafts)
                    case "look":
                        self._look(driving)

    async def keep_joining(self) -> None:
        """Be reached also for the runs whose `join` the layer failed, until cancelled. A task of its own: a layer that hangs must
        not keep a lease waiting, or a stop.
        """
        while True:
            await asyncio.sleep(JOIN_AGAIN_SECONDS)
            for driving in [one for one in self._driven() if one.run_id not in self._joined]:
                await self.join(driving)
                if all(other is not driving for other in self._driven()):
                    await self.leave(driving)

    async def join(self, driving: Driving) -> None:
        """Be reached for this run from now on; where the layer fails, that is made good later."""
        if driving.run_id in self._joined or not self._channel:
            return
        if await group.join(group.of_driver(driving.session_id), self._channel):
            self._joined.add(driving.run_id)

    async def leave(self, driving: Driving) -> None:
        """The run is not driven here any more."""
        self._joined.discard(driving.run_id)
        # The next run of the session may have begun already.
        if self._channel and all(other.session_id != driving.session_id for other in self._driven()):
            await group.leave(group.of_driver(driving.session_id), self._channel)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._joined
