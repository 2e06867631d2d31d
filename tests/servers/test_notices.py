"""Announcements and marks over several servers, with Redis and without it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.parts.model_script import Text
from tests.parts.model_server import ModelServer
from tests.parts.operator import Operator
from tests.parts.socket_client import LiveTab, open_socket, open_tab
from tests.parts.stack import NewStack, Stack

WRITE = (
    "INSERT INTO chat_sitenotice (text, level, created_at, shown_until)"
    " VALUES (%s, 'info', now(), now() + make_interval(secs => %s)) RETURNING id"
)


def notices_of(tab: LiveTab) -> list[str]:
    """The texts that the tab was told last."""
    told: list[str] = []
    for frame in tab.frames:
        if frame["type"] == "connected":
            told = [notice["text"] for notice in frame["data"]["site_notices"]]
        elif frame["type"] == "site_notices":
            told = [notice["text"] for notice in frame["data"]["notices"]]
    return told


def thumbs_of(tab: LiveTab) -> dict[str, Any]:
    """The thumbs that the tab was told last, by run."""
    rows = [row for frame in tab.frames if frame["type"] == "marks" for row in frame["data"]["feedback"]]
    return {row["run_id"]: row["thumb"] for row in rows}


async def test_an_announcement_reaches_every_server_at_once_and_without_redis_soon(new_stack: NewStack) -> None:
    """Written through one server, told by all; what Redis loses, and what has passed, the next look at the database finds."""
    stack: Stack = new_stack(workers=0, NOTICE_SECONDS="1")
    operator = Operator(stack, stack.new_user(admin=True), origin=stack.webs[1].origin)
    one, two = stack.new_user(), stack.new_user()
    try:
        async with open_tab(stack.webs[0], one, "a") as first, open_tab(stack.webs[1], two, "b") as second:
            form = {"text": "Told at once.", "level": "info", "shown_until_0": "", "shown_until_1": ""}
            answer = await asyncio.to_thread(operator.post, "/admin/chat/sitenotice/add/", **form)
            assert answer.status_code == 302, answer.text[:1000]
            for tab in (first, second):
                await tab.until(lambda _, tab=tab: notices_of(tab) == ["Told at once."])  # type: ignore[misc] # mypy infers no lambda's default
            stack.redis.stop()
            stack.query(WRITE, "Found later.", 600)
            stack.query(WRITE, "Passes soon.", 3)
            both = {"Told at once.", "Found later."}
            for tab in (first, second):
                await tab.until(lambda _, tab=tab: set(notices_of(tab)) == both)  # type: ignore[misc] # mypy infers no lambda's default
                assert any("Passes soon." in str(frame) for frame in tab.frames)
            # One that comes later is told with its first frame.
            socket = await open_socket(stack.webs[0], two, "c", acknowledging=False)
            hello = await socket.receive()
            assert hello["type"] == "connected"
            assert {notice["text"] for notice in hello["data"]["site_notices"]} == both
            await socket.close()
    finally:
        operator.close()


async def test_marks_reach_a_tab_on_another_server_also_where_redis_lost_them(
    new_stack: NewStack, model_server: ModelServer
) -> None:
    stack = new_stack(workers=1)
    user = stack.new_user()
    async with open_tab(stack.webs[0], user, "s") as first, open_tab(stack.webs[1], user, "s") as second:
        run_id = await first.say(f"script:{model_server.script([Text('Well.')])}")
        await first.until_ended(run_id)
        for redis_is_there, thumb in ((True, "up"), (False, "down")):
            if not redis_is_there:
                stack.redis.stop()
            await first.send("feedback", run_id=run_id, thumb=thumb)
            for tab in (first, second):
                await tab.until(lambda _, tab=tab, thumb=thumb: thumbs_of(tab).get(run_id) == thumb)  # type: ignore[misc] # mypy infers no lambda's default
        # While Redis stays away each socket asks every second; what it was told already is told no second time.
        assert first.socket
        quiet = await first.socket.silence(2.5)
        assert sum(frame["type"] == "marks" for frame in quiet) <= 1
    assert stack.query("SELECT thumb FROM chat_feedback") == [{"thumb": -1}]
