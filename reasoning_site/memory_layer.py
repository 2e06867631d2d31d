"""The channel layer of a process that is alone: Channels' own, without what costs more the more sockets there are."""

from __future__ import annotations

import math
import time
from typing import Any

from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer

CLEAN_SECONDS = 10.0


class MemoryLayer(InMemoryChannelLayer):  # type: ignore[misc]  # Channels ships no types
    """The library looks through all channels and groups with each message, and starts a task for each receiver of one. It also
    lets sockets leave their groups after a day; ours leave when they close.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, group_expiry=math.inf)
        self._clean_at = 0.0

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        for channel in tuple(self.groups.get(group, ())):
            try:
                await self.send(channel, message)
            except ChannelFull:
                pass  # It asks the log.

    async def delete_channel(self, channel: str) -> None:
        """Nobody will receive from the channel any more."""
        self.channels.pop(channel, None)

    def _clean_expired(self) -> None:
        """Called with each message; what nobody reads need not be found at once."""
        now = time.monotonic()
        if now >= self._clean_at:
            self._clean_at = now + CLEAN_SECONDS
            super()._clean_expired()
