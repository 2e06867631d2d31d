"""What the queue must not lose, and what must not wait for it."""

from __future__ import annotations

import asyncio

import psycopg

from tests.parts.model_script import Gate, Text
from tests.parts.model_server import ModelServer
from tests.parts.socket_client import open_tab
from tests.parts.stack import NewStack, Stack
from tests.servers.test_stack import assert_all_equal
from tests.servers.test_workers import QUICK, until_text

# Whoever waits to queue a job, and whether its transaction has written to the log.
QUEUEING = """
SELECT pid, EXISTS (
    SELECT FROM pg_locks WHERE pg_locks.pid = activity.pid AND relation = 'chat_event'::regclass
        AND mode = 'RowExclusiveLock'
) AS has_written
FROM pg_stat_activity AS activity WHERE wait_event_type = 'Lock' AND query LIKE '%defer_jobs%'
"""


async def until_queueing(stack: Stack) -> tuple[int, bool]:
    """Return who waits to queue a job, once somebody does."""
    async with asyncio.timeout(10):
        while not (found := stack.query(QUEUEING)):  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.05)
    return found[0]["pid"], found[0]["has_written"]


async def test_a_connection_cut_while_the_next_run_is_queued(new_stack: NewStack, model_server: ModelServer) -> None:
    """The end of the run before stands in the same transaction, so it is written again: nobody loses a run by it."""
    stack = new_stack(webs=1, workers=1)
    user = stack.new_user()
    first = model_server.script([Text("One"), Gate("end"), Text(".")])
    async with open_tab(stack, user, "s") as tab:
        ending = await tab.say(f"script:{first}")
        await until_text(tab, ending, "One")
        following = await tab.say(f"script:{model_server.script([Text('Two.')])}")
        with psycopg.connect(stack.postgres.url) as connection:
            # What takes jobs only reads until there is one; who queues them must wait.
            connection.execute("LOCK TABLE procrastinate_jobs IN SHARE ROW EXCLUSIVE MODE")
            model_server.open("end")
            pid, has_written = await until_queueing(stack)
            assert has_written
            stack.query("SELECT pg_terminate_backend(%s)", pid)
        for run_id in (ending, following):
            await tab.until_ended(run_id)
        await assert_all_equal(stack, "s", [tab])
    assert [(run["state"], run["attempt"], run["losses"]) for run in stack.runs("s")] == [("completed", 1, 0)] * 2


async def test_stop_needs_no_worker(new_stack: NewStack, model_server: ModelServer) -> None:
    """With the only worker dead, the web server that was asked ends the run once its lease has passed."""
    stack = new_stack(webs=1, workers=1, **QUICK)
    user = stack.new_user()
    name = model_server.script([Text("Once"), Gate("never")])
    async with open_tab(stack, user, "s") as tab, open_tab(stack, user, "s") as other:
        run_id = await tab.say(f"script:{name}")
        await until_text(tab, run_id, "Once")
        stack.workers.pop().kill()
        await tab.send("interrupt")
        await tab.until(lambda _: any(frame["type"] == "interrupted" for frame in tab.frames), timeout=6)
        for each in (tab, other):
            await each.until_ended(run_id)
            assert each.tab.runs[run_id].state == "stopped"
        await assert_all_equal(stack, "s", [tab, other])
