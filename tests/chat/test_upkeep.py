"""The round that looks after the open sockets of a process, and the turns that a socket's sources take."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from chat import upkeep
from chat.turns import take_turns


class Socket:
    """Asks whenever it is looked at, for as long as it is told; counts how often it asked, and how often at once."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked = self.under_way = self.most_at_once = 0
        self.may_end = asyncio.Event()
        self.fails = fails

    def to_ask(self, now: float) -> Coroutine[Any, Any, None] | None:
        return self._ask()

    async def _ask(self) -> None:
        self.asked += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await self.may_end.wait()
            if self.fails:
                raise ValueError("planted")
        finally:
            self.under_way -= 1


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "ROUND_SECONDS", 0.01)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - whatever the condition is made of, it tells nobody
            await asyncio.sleep(0.005)


async def test_sockets_do_not_wait_for_each_other() -> None:
    """One whose question takes long is not asked again meanwhile; the others are, also those whose questions fail."""
    held, free, failing = Socket(), Socket(), Socket(fails=True)
    for socket in (free, failing):
        socket.may_end.set()
    round_ = upkeep.Round()
    for socket in (held, free, failing):
        round_.enter(socket)
    await _until(lambda: free.asked > 3 and failing.asked > 3)
    assert (held.asked, held.most_at_once) == (1, 1)
    held.may_end.set()
    await _until(lambda: held.asked > 2)
    assert held.most_at_once == 1
    for socket in (held, free, failing):
        round_.leave(socket)


async def test_who_leaves_is_not_asked_for_any_more() -> None:
    """What is under way for it is given up; with the last one the round ends, and begins anew with the next."""
    first, second = Socket(), Socket()
    round_ = upkeep.Round()
    round_.enter(first)
    await _until(lambda: first.under_way == 1)
    round_.leave(first)
    round_.leave(first)
    await _until(lambda: first.under_way == 0)
    assert not [task for task in asyncio.all_tasks() if "_walk" in repr(task)]
    round_.enter(second)
    await _until(lambda: second.under_way == 1)
    assert first.asked == 1
    round_.leave(second)


async def test_turns_are_taken() -> None:
    """What comes from two sources is handled one at a time, each source in its order, until handling ends it all."""
    sources: list[asyncio.Queue[str]] = [asyncio.Queue(), asyncio.Queue()]
    for number in range(5):
        sources[0].put_nowait(f"a{number}")
        sources[1].put_nowait(f"b{number}")
    sources[1].put_nowait("end")
    handled: list[str] = []
    at_work = 0

    async def handle(message: str) -> None:
        nonlocal at_work
        assert at_work == 0
        at_work += 1
        await asyncio.sleep(0)
        at_work -= 1
        if message == "end":
            raise EOFError
        handled.append(message)

    with pytest.raises(EOFError):
        await take_turns([source.get for source in sources], handle)
    for letter in "ab":
        assert [text for text in handled if text.startswith(letter)] == [f"{letter}{number}" for number in range(5)]
    assert not [task for task in asyncio.all_tasks() if "keep_taking" in repr(task)]
