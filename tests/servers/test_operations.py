"""Operators at runs that real workers drive: stop, retry, take over. Every tab ends with what is in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.parts.model_script import Attempts, Gate, Refusal, Text, ToolCall
from tests.parts.model_server import ModelServer
from tests.parts.operator import Operator
from tests.parts.site_process import NewSite
from tests.parts.socket_client import open_tab
from tests.parts.stack import NewStack, Stack
from tests.servers.test_stack import assert_all_equal
from tests.servers.test_workers import driving, starts, until_text

NewOperator = Callable[..., Operator]


@pytest.fixture
def new_operator() -> Iterator[NewOperator]:
    """Operators at an installation, closed after the test."""
    made: list[Operator] = []

    def make(site: Any, *, origin: str = "") -> Operator:
        made.append(Operator(site, site.new_user(admin=True), origin=origin))
        return made[-1]

    yield make
    for one in made:
        one.close()


async def press(operator: Operator, action: str, run_id: str) -> str:
    return await asyncio.to_thread(operator.press, action, run_id)


def recorded(stack: Stack) -> tuple[list[str], list[str]]:
    """What the history and the record of readers say, in order."""
    entries = stack.query("SELECT change_message FROM django_admin_log ORDER BY id")
    readings = stack.query("SELECT how FROM chat_reading ORDER BY id")
    return [row["change_message"] for row in entries], [row["how"] for row in readings]


async def test_a_run_that_is_taken_over_goes_on_on_another_worker(
    new_stack: NewStack, model_server: ModelServer, new_operator: NewOperator
) -> None:
    """In mid-token: the worker before says nothing more, the finished tool does not run again, and nothing counts as lost."""
    stack = new_stack(workers=2)
    user, operator = stack.new_user(), new_operator(stack)
    name = model_server.script(
        [ToolCall("calculator", {"expression": "6*7"})], [Text("Forty"), Gate("middle"), Text("-two.")]
    )
    async with open_tab(stack.webs[0], user, "s") as tab, open_tab(stack.webs[1], user, "s") as other:
        run_id = await tab.say(f"script:{name}")
        for each in (tab, other):
            await until_text(each, run_id, "Forty")
        before = driving(stack, run_id)
        assert "goes on from the log" in await press(operator, "take-over", run_id)
        for each in (tab, other):
            await until_text(each, run_id, "Forty", attempt=2)
        assert driving(stack, run_id) is not before
        await model_server.until(lambda requests: requests[1].end == "disconnected")
        model_server.open("middle", 2)
        await tab.until_ended(run_id)
        await assert_all_equal(stack, "s", [tab, other])
        assert starts(tab) == [(1, None), (2, "taken_over")]
        assert "ended already: completed" in await press(operator, "take-over", run_id)
    steps = [(event["attempt"], event["step_type"]) for event in stack.events("s") if event["type"] == "step"]
    assert steps == [(1, "tool_use"), (1, "tool_result"), (2, "final_answer")]
    assert stack.events("s")[-2]["content"] == "Forty-two."
    (run,) = stack.runs("s")
    assert (run["state"], run["attempt"], run["losses"]) == ("completed", 2, 0)
    assert recorded(stack) == (["Taken from its worker by an operator."], ["operated"])
    assert before.running


async def test_a_frozen_worker_is_refused_once_its_run_was_taken(
    new_stack: NewStack, model_server: ModelServer, new_operator: NewOperator
) -> None:
    """Long before its lease has passed; what it has to say when it wakes reaches nobody and no row."""
    stack = new_stack(webs=1, workers=2, LEASE_SECONDS="600")
    user, operator = stack.new_user(), new_operator(stack)
    name = model_server.script([Text("Once"), Gate("middle"), Text(" upon a time.")])
    async with open_tab(stack, user, "s") as tab:
        run_id = await tab.say(f"script:{name}")
        await until_text(tab, run_id, "Once")
        frozen = driving(stack, run_id)
        frozen.pause()
        await press(operator, "take-over", run_id)
        await until_text(tab, run_id, "Once", attempt=2)
        # The first answer is there for the worker that will wake, too.
        model_server.open("middle", 2)
        frozen.resume()
        await tab.until_ended(run_id)
        await assert_all_equal(stack, "s", [tab])
    answers = [(event["attempt"], event["content"]) for event in stack.events("s") if event["type"] == "step"]
    assert answers == [(2, "Once upon a time.")]


async def test_a_sole_worker_goes_on_with_what_was_taken_from_it(
    new_stack: NewStack, model_server: ModelServer, new_operator: NewOperator
) -> None:
    stack = new_stack(webs=1, workers=1)
    user, operator = stack.new_user(), new_operator(stack)
    name = model_server.script([Text("Alone"), Gate("middle"), Text(".")])
    async with open_tab(stack, user, "s") as tab:
        run_id = await tab.say(f"script:{name}")
        await until_text(tab, run_id, "Alone")
        await press(operator, "take-over", run_id)
        await until_text(tab, run_id, "Alone", attempt=2)
        model_server.open("middle", 2)
        await tab.until_ended(run_id)
        await assert_all_equal(stack, "s", [tab])


async def test_an_operator_stops_a_run_also_while_redis_is_gone(
    new_stack: NewStack, model_server: ModelServer, new_operator: NewOperator
) -> None:
    """Through another web server than the run's tab; what was said is kept, and the tab says who it was."""
    stack = new_stack(workers=1)
    user, operator = stack.new_user(), new_operator(stack, origin=stack.webs[1].origin)
    for number, redis_is_there in enumerate((True, False), start=1):
        name = model_server.script([Text("Once upon a time"), Gate("never")])
        async with open_tab(stack.webs[0], user, "s") as tab:
            run_id = await tab.say(f"script:{name}")
            await until_text(tab, run_id, "time")
            if not redis_is_there:
                stack.redis.stop()
            assert "Asked to stop" in await press(operator, "stop", run_id)
            await tab.until_ended(run_id)
            end = tab.transcript()[-1]["data"]
            assert (end["state"], end["by"]) == ("stopped", "operator")
            assert "ended already: stopped" in await press(operator, "stop", run_id)
            await assert_all_equal(stack, "s", [tab])
        assert recorded(stack) == (["Stopped by an operator."] * number, ["operated"] * number)
    assert stack.events("s")[-2]["content"] == "Once upon a time"


async def test_an_operator_asks_a_failed_run_again_once(
    new_stack: NewStack, model_server: ModelServer, new_operator: NewOperator
) -> None:
    """As a new run with the same message and agent, which a worker drives; pressed four times at once, it is one."""
    stack = new_stack(workers=1)
    user = stack.new_user()
    operators = [new_operator(stack, origin=web.origin) for web in stack.webs * 2]
    name = model_server.script(Attempts([[Refusal(400, "no such luck")], [Text("Now it works.")]]))
    async with open_tab(stack, user, "s") as tab:
        run_id = await tab.say(f"script:{name}", agent_name="writer")
        await tab.until_ended(run_id)
        assert tab.tab.runs[run_id].state == "failed"
        said = await asyncio.gather(*(press(operator, "retry", run_id) for operator in operators))
        assert sorted(one.startswith("Asked again") for one in said) == [False, False, False, True]
        await tab.until(lambda tab: len(tab.runs) == 2 and not tab.active)
        await assert_all_equal(stack, "s", [tab])
        message = next(frame for frame in tab.transcript()[-4:] if frame["type"] == "message")
        assert message["data"]["by"] == "operator"
    first, second = stack.runs("s")
    assert (second["message"], second["agent"], second["state"]) == (first["message"], "writer", "completed")
    assert stack.events("s")[-2]["content"] == "Now it works."
    assert recorded(stack) == (["Asked again by an operator."], ["operated"])


async def test_all_three_work_where_the_web_process_drives(
    new_site: NewSite, model_server: ModelServer, new_operator: NewOperator
) -> None:
    """On SQLite, without Redis: the process goes on with the run from the log, stops it, and asks again."""
    site = new_site()
    user, operator = site.new_user(), new_operator(site)
    name = model_server.script([Text("So far"), Gate("never")])
    async with open_tab(site, user, "s") as tab:
        run_id = await tab.say(f"script:{name}")
        await until_text(tab, run_id, "far")
        await press(operator, "take-over", run_id)
        await until_text(tab, run_id, "far", attempt=2)
        assert starts(tab) == [(1, None), (2, "taken_over")]
        await press(operator, "stop", run_id)
        await tab.until_ended(run_id)
        assert (await press(operator, "retry", run_id)).startswith("Asked again")
        await tab.until(lambda tab: len(tab.runs) == 2)
        again = next(run for run in tab.tab.runs if run != run_id)
        await until_text(tab, again, "far")
        await press(operator, "stop", again)
        await tab.until_ended(again)
        await tab.until_current()
        assert [frame["seq"] for frame in tab.transcript()] == [event["seq"] for event in site.events("s")]
    (first, second) = site.runs("s")
    assert (first["losses"], second["client_id"]) == (0, f"again:{run_id.replace('-', '')}")


def test_the_queue_has_no_pages_of_its_own(new_stack: NewStack, new_operator: NewOperator) -> None:
    """Its actions would pass by the permissions and the record; what it holds is on the page of operations."""
    operator = new_operator(new_stack(webs=1, workers=0))
    for model in ("job", "event", "worker", "periodicdefer"):
        assert operator.get(f"/admin/procrastinate/procrastinate{model}/").status_code == 404
    index = operator.get("/admin/")
    assert index.status_code == 200
    assert "procrastinate" not in index.text.lower()
