"""The channel layer over Redis: that of `channels_redis`, on connections of ours (`reasoning_site.shard`)."""

from __future__ import annotations

import asyncio
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer

from reasoning_site.shard import Shard


class ChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]  # channels_redis ships no types
    def _get_layer(self) -> Any:
        """The layer of the running event loop: the library's, with our connections in place of its own."""
        known = self._layers.get(asyncio.get_running_loop())
        if known is not None:
            return known
        layer = super()._get_layer()
        layer._shards = [Shard(shard.host, layer) for shard in layer._shards]
        return layer

    async def delete_channel(self, channel: str) -> None:
        """Nobody will receive from the channel any more. Does not wait for the server."""
        layer = self._get_layer()
        if layer.channels.pop(channel, None) is not None:
            await layer._get_shard(channel).unsubscribe(channel)

    @property
    def outages(self) -> int:
        """How often the server was away and is back: something may not have been heard meanwhile."""
        return sum(shard.outages for shard in self._get_layer()._shards)
