"""The channel layer of a process that is alone."""

from __future__ import annotations

from typing import Any

import pytest

from reasoning_site import memory_layer
from reasoning_site.memory_layer import MemoryLayer


class Counted(dict[str, Any]):
    """Counts how often all of it is looked through."""

    walks = 0

    def items(self) -> Any:
        self.walks += 1
        return super().items()

    def values(self) -> Any:
        self.walks += 1
        return super().values()


async def test_a_message_costs_the_same_however_many_others_there_are() -> None:
    """Neither sending nor receiving looks through what belongs to others."""
    layer = MemoryLayer(capacity=10)
    channel = await layer.new_channel()
    await layer.group_add("g", channel)
    await layer.group_send("g", {"type": "first"})
    await layer.receive(channel)
    layer.channels, layer.groups = Counted(layer.channels), Counted(layer.groups)
    for number in range(5):
        await layer.group_send("g", {"type": "t", "number": number})
    assert [(await layer.receive(channel))["number"] for _ in range(5)] == [0, 1, 2, 3, 4]
    assert (layer.channels.walks, layer.groups.walks) == (0, 0)


async def test_a_full_channel_loses_for_itself_alone() -> None:
    """The others of its group still hear everything."""
    layer = MemoryLayer(capacity=1)
    full, free = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("g", full)
    await layer.group_add("g", free)
    await layer.send(full, {"type": "before"})
    await layer.group_send("g", {"type": "t"})
    assert await layer.receive(full) == {"type": "before"}
    assert await layer.receive(free) == {"type": "t"}
    assert full not in layer.channels


async def test_what_nobody_reads_goes_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that was left is not kept for ever."""
    layer = MemoryLayer(capacity=1, expiry=0)
    await layer.send("left!1", {"type": "t"})
    monkeypatch.setattr(memory_layer, "CLEAN_SECONDS", 0.0)
    await layer.group_send("nobody", {"type": "t"})
    reader = await layer.new_channel()
    await layer.send(reader, {"type": "t"})
    layer._clean_expired()
    assert "left!1" not in layer.channels


async def test_a_channel_that_is_closed_is_gone_with_what_waits_in_it() -> None:
    """Also where nobody was just receiving, which is when the library itself would find out."""
    layer = MemoryLayer()
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "t"})
    await layer.delete_channel(channel)
    await layer.delete_channel(channel)
    assert not layer.channels
