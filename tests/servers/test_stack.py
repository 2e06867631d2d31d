"""The whole stack works, from the proxy to the workers and back, and its parts come and go."""

from __future__ import annotations

import asyncio

from tests.parts.model_script import Gate, Text, ToolCall
from tests.parts.model_server import ModelServer
from tests.parts.socket_client import LiveTab, open_tab
from tests.parts.stack import NewStack, Stack


async def assert_all_equal(stack: Stack, session_id: str, tabs: list[LiveTab]) -> None:
    """Each tab holds what the database holds: gapless, each event once, in its own words."""
    rows = stack.events(session_id)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    for tab in tabs:
        await tab.until_current()
        shown = [(frame["seq"], frame["run_id"]) for frame in tab.transcript()]
        assert shown == [(row["seq"], row["run_id"]) for row in rows]
        steps = {row["seq"]: row["content"] for row in rows if row["type"] == "step"}
        told = {frame["seq"]: frame["data"]["content"] for frame in tab.transcript() if frame["seq"] in steps}
        assert told == steps


async def test_an_answer_is_watched_through_the_proxy_and_on_every_web_server(
    new_stack: NewStack, model_server: ModelServer
) -> None:
    """The web servers only show: a worker drives the run, once, and all tabs end with the transcript of the database."""
    stack = new_stack()
    user = stack.new_user()
    name = model_server.script(
        [ToolCall("calculator", {"expression": "6*7"})], [Text("Forty"), Gate("middle"), Text("-two.")]
    )
    one, two = stack.webs
    async with open_tab(stack, user, "s") as tab, open_tab(one, user, "s") as first, open_tab(two, user, "s") as second:
        run_id = await tab.say(f"script:{name}")
        await model_server.at("middle")
        for each in (tab, first, second):
            await each.until(lambda tab: any(draft.text == "Forty" for draft in tab.runs[run_id].drafts.values()))
        model_server.open("middle")
        for each in (tab, first, second):
            await each.until_ended(run_id)
        await assert_all_equal(stack, "s", [tab, first, second])
    (run,) = stack.runs("s")
    assert (run["id"], run["state"], run["attempt"]) == (run_id, "completed", 1)
    assert [event["content"] for event in stack.events("s") if event["step_type"] == "final_answer"] == ["Forty-two."]


async def test_parts_come_and_go_under_a_tab(new_stack: NewStack, model_server: ModelServer) -> None:
    """A web server is killed, one is added, the others are taken out of service, the proxy is restarted, a worker hands its
    run over: the tab at the proxy comes back each time, and the page is there throughout.
    """
    stack = new_stack(webs=2, workers=1, GRACE_SECONDS="0.5")
    user = stack.new_user()
    name = model_server.script([Text("Forty"), Gate("middle"), Text("-two.")])
    with stack.client(user) as client:
        async with open_tab(stack, user, "s") as tab:
            run_id = await tab.say(f"script:{name}")
            await model_server.at("middle")
            stack.webs[0].kill()
            assert {client.get("/healthz").status_code for _ in range(4)} == {200}
            await asyncio.to_thread(stack.add_web)
            for web in stack.webs[:2]:
                await asyncio.to_thread(stack.remove, web) if web.running else stack.webs.remove(web)
            assert {client.get("/healthz").status_code for _ in range(4)} == {200}
            await tab.until_current()
            stack.proxy.restart()
            await tab.until_current()
            await asyncio.to_thread(stack.add_worker)
            assert await asyncio.to_thread(stack.remove, stack.workers[0]) == 0
            model_server.open("middle", 2)
            await tab.until_ended(run_id)
            await assert_all_equal(stack, "s", [tab])
            assert len(tab.close_codes) >= 2
    (run,) = stack.runs("s")
    assert (run["state"], len(stack.webs), len(stack.workers)) == ("completed", 1, 1)
