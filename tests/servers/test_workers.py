"""Workers drive the runs: they are killed, frozen and replaced, and each run goes on and ends once."""

from __future__ import annotations

import asyncio

import pytest

from tests.parts.child import DiedEarly
from tests.parts.model_script import Gate, Text, ToolCall
from tests.parts.model_server import ModelServer
from tests.parts.server import Worker
from tests.parts.site_process import NewSite
from tests.parts.socket_client import LiveTab, open_tab
from tests.parts.stack import NewStack, Stack
from tests.servers.test_stack import assert_all_equal

# A lost run is found within a second or two, so that tests need not wait for what operators would.
QUICK = {"LEASE_SECONDS": "1", "SWEEP_SECONDS": "0.2", "WATCH_SECONDS": "0.2"}


def driving(stack: Stack, run_id: str) -> Worker:
    """The worker that drives the run."""
    (row,) = stack.query("SELECT worker FROM chat_run WHERE id = %s", run_id)
    return next(worker for worker in stack.workers if worker.name == row["worker"])


async def until_text(tab: LiveTab, run_id: str, text: str, *, attempt: int = 1) -> None:
    """Return when this attempt's draft ends with the text."""
    await tab.until(
        lambda tab: (
            run_id in tab.runs
            and tab.runs[run_id].attempt == attempt
            and any(draft.text.endswith(text) for draft in tab.runs[run_id].drafts.values())
        )
    )


def starts(tab: LiveTab) -> list[tuple[int, str | None]]:
    """Each attempt, and why it was made."""
    return [
        (frame["data"]["attempt"], frame["data"].get("reason"))
        for frame in tab.transcript()
        if frame["type"] == "reasoning_start"
    ]


async def test_a_run_goes_on_after_its_worker_was_killed(new_stack: NewStack, model_server: ModelServer) -> None:
    """In mid-token: the half-written step is void in every tab, the finished tool does not run again, the answer comes once."""
    stack = new_stack(**QUICK)
    user = stack.new_user()
    name = model_server.script(
        [ToolCall("calculator", {"expression": "6*7"})], [Text("Forty"), Gate("middle"), Text("-two.")]
    )
    async with open_tab(stack, user, "s") as tab, open_tab(stack.webs[1], user, "s") as other:
        run_id = await tab.say(f"script:{name}")
        for each in (tab, other):
            await until_text(each, run_id, "Forty")
        driving(stack, run_id).kill()
        for each in (tab, other):
            await until_text(each, run_id, "Forty", attempt=2)
        model_server.open("middle", 2)
        await tab.until_ended(run_id)
        await assert_all_equal(stack, "s", [tab, other])
        assert starts(tab) == [(1, None), (2, "lost")]
    kinds = [event["step_type"] for event in stack.events("s") if event["type"] == "step"]
    assert kinds == ["tool_use", "tool_result", "final_answer"]
    assert stack.events("s")[-2]["content"] == "Forty-two."


async def test_after_three_losses_a_run_ends(new_stack: NewStack, model_server: ModelServer) -> None:
    """Each worker that takes it dies of it: the third is the last, and the error says so."""
    stack = new_stack(webs=1, workers=3, **QUICK)
    user = stack.new_user()
    name = model_server.script([Text("Deadly"), Gate("never")])
    async with open_tab(stack, user, "s") as tab:
        run_id = await tab.say(f"script:{name}")
        for attempt in (1, 2, 3):
            await until_text(tab, run_id, "Deadly", attempt=attempt)
            worker = driving(stack, run_id)
            worker.kill()
            stack.workers.remove(worker)
        await asyncio.to_thread(stack.add_worker)
        await tab.until_ended(run_id)
        assert tab.tab.runs[run_id].state == "failed"
        await assert_all_equal(stack, "s", [tab])
    assert [event["data"].get("code") for event in stack.events("s")][-2:] == ["lost", "lost"]


async def test_a_frozen_worker_that_wakes_is_refused(new_stack: NewStack, model_server: ModelServer) -> None:
    """Another has taken its run over; what it still has to say reaches nobody and no row."""
    stack = new_stack(webs=1, **QUICK)
    user = stack.new_user()
    name = model_server.script([Text("Once"), Gate("middle"), Text(" upon"), Gate("end"), Text(" a time.")])
    async with open_tab(stack, user, "s") as tab:
        run_id = await tab.say(f"script:{name}")
        await until_text(tab, run_id, "Once")
        frozen = driving(stack, run_id)
        frozen.pause()
        await until_text(tab, run_id, "Once", attempt=2)
        model_server.open("middle", 2)
        await until_text(tab, run_id, " upon", attempt=2)
        frozen.resume()
        model_server.open("end", 2)
        await tab.until_ended(run_id)
        await assert_all_equal(stack, "s", [tab])
    answers = [(event["attempt"], event["content"]) for event in stack.events("s") if event["type"] == "step"]
    assert answers == [(2, "Once upon a time.")]
    # It lives, and takes new runs.
    assert frozen.running


async def test_a_worker_that_is_told_to_end_hands_over_after_the_step(
    new_stack: NewStack, model_server: ModelServer
) -> None:
    """It waits for the tool that is at work, takes nothing new, and the next worker goes on from there; nothing counts as lost."""
    stack = new_stack(webs=1, workers=1)
    user = stack.new_user()
    name = model_server.script(
        [Text("First"), Gate("step"), ToolCall("calculator", {"expression": "6*7"})], [Text("Forty-two.")]
    )
    async with open_tab(stack, user, "s") as tab, open_tab(stack, user, "t") as later:
        run_id = await tab.say(f"script:{name}")
        await until_text(tab, run_id, "First")
        worker = stack.workers.pop()
        worker.tell_to_end()
        await asyncio.to_thread(worker.wait_until_it_says, "Draining")
        waiting = await later.say(f"script:{model_server.script([Text('Later.')])}")
        model_server.open("step")
        assert await asyncio.to_thread(worker.wait_for_end) == 0
        assert later.tab.runs[waiting].state == "queued"
        await asyncio.to_thread(stack.add_worker)
        for each, run in ((tab, run_id), (later, waiting)):
            await each.until_ended(run)
        assert starts(tab) == [(1, None), (2, "handed_over")]
        await assert_all_equal(stack, "s", [tab])
    kinds = [(event["attempt"], event["step_type"]) for event in stack.events("s") if event["type"] == "step"]
    assert kinds == [(1, "thought"), (1, "tool_use"), (1, "tool_result"), (2, "final_answer")]
    assert [row["losses"] for row in stack.query("SELECT losses FROM chat_run")] == [0, 0]


async def test_what_takes_longer_than_the_grace_is_cut_and_handed_over(
    new_stack: NewStack, model_server: ModelServer
) -> None:
    """In mid-token: the half-written step is written anew by the next worker."""
    stack = new_stack(webs=1, GRACE_SECONDS="0.1")
    user = stack.new_user()
    name = model_server.script([Text("Half"), Gate("middle"), Text(" and half.")])
    async with open_tab(stack, user, "s") as tab:
        run_id = await tab.say(f"script:{name}")
        await until_text(tab, run_id, "Half")
        assert await asyncio.to_thread(stack.remove, driving(stack, run_id)) == 0
        await until_text(tab, run_id, "Half", attempt=2)
        model_server.open("middle", 2)
        await tab.until_ended(run_id)
        assert starts(tab) == [(1, None), (2, "handed_over")]
        await assert_all_equal(stack, "s", [tab])


async def test_stop_reaches_a_worker_also_while_redis_is_gone(new_stack: NewStack, model_server: ModelServer) -> None:
    """From another web server than the run's tab; the model's stream is closed, what was said is kept."""
    stack = new_stack(workers=1)
    user = stack.new_user()
    for redis_is_there in (True, False):
        name = model_server.script([Text("Once upon a time"), Gate("never")])
        async with open_tab(stack.webs[0], user, "s") as first, open_tab(stack.webs[1], user, "s") as second:
            run_id = await first.say(f"script:{name}")
            await until_text(first, run_id, "time")
            if not redis_is_there:
                stack.redis.stop()
            await second.send("interrupt")
            await second.until(lambda tab: any(frame["type"] == "interrupted" for frame in second.frames))
            await first.until_ended(run_id)
            assert first.tab.runs[run_id].state == "stopped"
            await assert_all_equal(stack, "s", [first, second])
    assert stack.events("s")[-2]["content"] == "Once upon a time"


async def test_workers_of_a_kind_serve_their_agents(new_stack: NewStack, model_server: ModelServer) -> None:
    """An agent's runs wait for a worker of its queue, whatever others have room for; one that drives one at a time waits, too."""
    stack = new_stack(webs=1, workers=0, AGENT_MODULES="tests.servers.heavy_agent")
    await asyncio.to_thread(stack.add_worker, "--queues", "default", "--concurrency", "1")
    user = stack.new_user()
    name = model_server.script([Text("Done"), Gate("end"), Text(".")])
    async with open_tab(stack, user, "a") as a, open_tab(stack, user, "b") as b, open_tab(stack, user, "c") as c:
        first = await a.say(f"script:{name}", agent_name="assistant")
        heavy = await b.say(f"script:{name}", agent_name="heavy")
        await until_text(a, first, "Done")
        second = await c.say(f"script:{name}", agent_name="assistant")
        for each, run_id in ((b, heavy), (c, second)):
            await each.until(lambda tab, run_id=run_id: run_id in tab.runs)  # type: ignore[misc] # mypy infers no lambda's default
            assert each.tab.runs[run_id].state == "queued"
        model_server.open("end")
        await a.until_ended(first)
        await until_text(c, second, "Done")
        assert b.tab.runs[heavy].state == "queued"
        await asyncio.to_thread(stack.add_worker, "--queues", "heavy")
        await until_text(b, heavy, "Done")
        model_server.open("end", 3)
        await asyncio.gather(b.until_ended(heavy), c.until_ended(second))


async def test_a_database_that_restarts_or_hangs_costs_a_run_nothing(
    new_stack: NewStack, model_server: ModelServer
) -> None:
    """Killed, and frozen for longer than the lease, in mid-token: the same attempt goes on, and the same write is made once."""
    stack = new_stack(webs=1, workers=1, **QUICK, DATABASE_SECONDS="1")
    user = stack.new_user()
    for fault in ("killed", "frozen"):
        name = model_server.script([Text("Before"), Gate("gone"), Text(" and after.")])
        async with open_tab(stack, user, fault) as tab:
            run_id = await tab.say(f"script:{name}")
            await until_text(tab, run_id, "Before")
            if fault == "killed":
                stack.postgres.stop()
            else:
                stack.postgres.pause()
            model_server.open("gone")
            # Tokens need no database; the step does, and its writer says that it tries again.
            await until_text(tab, run_id, "after.")
            await asyncio.to_thread(stack.workers[0].wait_until_it_says, "trying again")
            if fault == "killed":
                await asyncio.to_thread(stack.postgres.start)
            else:
                await asyncio.to_thread(stack.postgres.resume)
            await tab.until_ended(run_id)
            await assert_all_equal(stack, fault, [tab])
        (run,) = stack.runs(fault)
        assert (run["state"], run["attempt"], run["losses"]) == ("completed", 1, 0)


async def test_a_job_whose_end_was_not_recorded_is_forgotten(new_stack: NewStack, model_server: ModelServer) -> None:
    """A database that is away just when a job is done leaves it under way; a minute after its run has ended it is gone. The job
    of a run that has only just ended is its worker's.
    """
    stack = new_stack(workers=1, **QUICK)
    user = stack.new_user()
    async with open_tab(stack, user, "s") as tab:
        ids = []
        for _ in range(2):
            ids.append(await tab.say(f"script:{model_server.script([Text('ok')])}"))
            await tab.until_ended(ids[-1])
    stack.query("UPDATE chat_run SET ended_at = ended_at - interval '1 minute' WHERE id = %s", ids[0])
    for run_id in ids:
        stack.query(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args, status)"
            " VALUES ('other', 'chat.drive', %s, '{}', 'doing')",
            run_id,
        )
    async with asyncio.timeout(20):
        while len(left := stack.query("SELECT queueing_lock FROM procrastinate_jobs")) > 1:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.05)
    assert [row["queueing_lock"] for row in left] == [ids[1]]


@pytest.mark.parametrize("fault", ["hangs", "is gone"])
async def test_a_worker_that_is_told_to_end_ends_also_while_the_database_is_away(
    new_stack: NewStack, fault: str
) -> None:
    """It can hand nothing over then; its runs are found by their leases. Killing it would be the operator's only other way."""
    stack = new_stack(webs=1, workers=2, **QUICK, DATABASE_SECONDS="1", GRACE_SECONDS="1")
    if fault == "hangs":
        stack.postgres.pause()
    else:
        stack.postgres.stop()
    codes = await asyncio.gather(*(asyncio.to_thread(worker.term) for worker in stack.workers))
    assert codes == [0, 0]


def test_a_worker_without_postgresql_says_what_it_needs(new_site: NewSite) -> None:
    """Not a traceback: the variable to set, and that none is needed."""
    with pytest.raises(DiedEarly, match="set DATABASE_URL") as refused:
        new_site(servers=0).manage("agentworker")
    assert "Traceback" not in str(refused.value)
