"""The process ends: nobody is turned away without a word, and nothing that was begun is left unanswered."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from chat import drain, protocol, runs
from chat.database import query
from chat.limits import Pace
from chat.models import Run
from chat.protocol import Close
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import ScriptedModel

FRAMES = json.loads((Path(__file__).parents[1] / "frames.json").read_text())


async def test_every_socket_is_told_and_closed(inside: InProcessSite, settings: Any) -> None:
    """`going_away` with the seconds to come back in, then 1012; the frame is counted, so that acknowledging it is no fault."""
    settings.DRAIN_SECONDS = 7
    tabs = [await inside.tab(await inside.user(name), name, resuming=name == "ada") for name in ("ada", "bob")]
    for tab in tabs:
        await tab.until_frame("connected")
    await asyncio.wait_for(drain.begin(), 5)
    for tab in tabs:
        assert await tab.until_closed() == int(Close.RESTART)
        assert [frame["data"] for frame in tab.frames if frame["type"] == "going_away"] == [{"spread": 7}]
        assert "error" not in [frame["type"] for frame in tab.frames]
    assert json.loads(protocol.going_away(spread=5)) == FRAMES["going_away"]["frame"]
    assert int(Close.RESTART) == FRAMES["going_away"]["close"]


async def test_a_message_that_is_being_written_is_answered_first(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command under way is finished and acknowledged before the close; the one behind it is not begun."""
    settings.MODEL = ScriptedModel(["a"])
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    writing, may_write = asyncio.Event(), threading.Event()
    real, loop = runs.accept, asyncio.get_running_loop()

    def slow(*arguments: Any, **named: Any) -> runs.Accepted:
        loop.call_soon_threadsafe(writing.set)
        may_write.wait(10)
        return real(*arguments, **named)

    monkeypatch.setattr(runs, "accept", slow)
    await tab.send("chat", payload={"message": "first"}, client_id="first")
    await tab.send("chat", payload={"message": "second"}, client_id="second")
    await asyncio.wait_for(writing.wait(), 5)
    ending = asyncio.create_task(drain.begin())
    await tab.until_frame("going_away")
    assert not ending.done()
    assert tab.close_code is None
    may_write.set()
    await asyncio.wait_for(ending, 5)
    assert await tab.until_closed() == Close.RESTART
    types = [frame["type"] for frame in tab.frames]
    assert types.index("accepted") > types.index("going_away")
    assert await query(lambda: list(Run.objects.values_list("client_id", flat=True))) == ["first"]


async def test_a_command_that_was_slowed_down_is_not_begun_after_the_close(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a client hears no answer to, it sends again: so nothing may be recorded once its socket has closed."""
    settings.FRAMES_AT_ONCE, settings.FRAMES_PER_SECOND = 1, 2
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    slowed, real = asyncio.Event(), Pace.frame

    def frame(self: Pace, size: int, now: float) -> float:
        wait = real(self, size, now)
        if wait > 0.3:
            slowed.set()
        return wait

    monkeypatch.setattr(Pace, "frame", frame)
    await tab.send("ping")
    await tab.send("chat", payload={"message": "too late"})
    await asyncio.wait_for(slowed.wait(), 5)
    await asyncio.wait_for(drain.begin(), 5)
    assert await tab.until_closed() == Close.RESTART
    # The socket ends when everything that it was sent before is behind it.
    await tab._socket.send_input({"type": "websocket.disconnect", "code": 1012})
    await tab._socket.wait(5)
    assert not await query(Run.objects.exists)


async def test_whoever_comes_now_is_sent_elsewhere(inside: InProcessSite) -> None:
    """A new socket is accepted, so that it can be told, and closed with 1012; nothing is looked up for it."""
    await drain.begin()
    tab = await inside.tab(await inside.user(), resuming=False)
    assert await tab.until_closed() == Close.RESTART
    assert [frame["type"] for frame in tab.frames] == ["going_away"]


async def test_sockets_that_have_gone_are_not_waited_for(inside: InProcessSite) -> None:
    """A socket that closed before is none of the process's any more, and one that does not end does not keep the others."""
    user = await inside.user()
    gone = await inside.tab(user, "one")
    await gone.until_current()
    await gone.close()
    stays = await inside.tab(user, "two")
    await stays.until_current()
    assert len(drain._sockets) == 1
    await asyncio.wait_for(drain.begin(), 5)
    assert await stays.until_closed() == Close.RESTART
