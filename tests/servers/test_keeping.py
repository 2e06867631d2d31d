"""On the whole stack, with web servers, workers and commands in processes of their own: what goes goes once, and from every tab."""

from __future__ import annotations

import asyncio

from tests.parts.model_script import Gate, Text
from tests.parts.model_server import ModelServer
from tests.parts.socket_client import open_socket, open_tab
from tests.parts.stack import NewStack
from tests.servers.test_workers import QUICK, driving

# What hangs on a session by now is not asked here: `tests/servers/test_erasure.py`.
LEFT = "SELECT (SELECT count(*) FROM chat_event) AS events, (SELECT count(*) FROM chat_run) AS runs"


async def test_a_user_is_erased_while_workers_drive_their_runs(new_stack: NewStack, model_server: ModelServer) -> None:
    """One run is at a worker that answers, one at a worker that was frozen: both end, the user's tabs are closed."""
    stack = new_stack(webs=2, workers=2, **QUICK)
    user, other = stack.new_user(), stack.new_user()
    script = model_server.script([Text("Half of it"), Gate("never")])
    async with open_tab(stack, other, "theirs") as theirs:
        mine = [await open_socket(web, user, name) for web, name in zip(stack.webs, ("one", "two"), strict=True)]
        runs = []
        for socket in mine:
            await socket.chat(f"script:{script}", client_id="c1")
            accepted = await socket.receive_until("accepted")
            runs.append(str(accepted["run_id"]))
            await socket.receive_until("reasoning_delta")
        frozen = driving(stack, runs[1])
        frozen.pause()
        try:
            said = await asyncio.to_thread(stack.manage, "eraseuser", user.name, "--no-input")
        finally:
            frozen.resume()
        assert "Stopped 2 runs." in said
        assert "The user is erased." in said
        assert [await socket.closed() for socket in mine] == [4501, 4501]
        # Nothing of the worker that wakes is written, and both go on for others.
        for _ in range(3):
            await theirs.until_ended(await theirs.say("hello"))
        await theirs.until_current()
        assert theirs.transcript()[-1]["type"] == "reasoning_complete"
    [left] = stack.query("SELECT count(*) AS sessions FROM chat_chatsession")
    assert left["sessions"] == 1
    assert stack.query(LEFT) == [{"events": len(stack.events("theirs")), "runs": 3}]
    assert all(process.running for process in stack.processes)


async def test_one_worker_of_several_applies_the_rules_and_tabs_anywhere_are_closed(new_stack: NewStack) -> None:
    stack = new_stack(webs=2, workers=2, RETENTION_SECONDS="0.5", **QUICK)
    user = stack.new_user()
    async with open_tab(stack, user, "kept") as kept:
        await kept.until_ended(await kept.say("hello"))
        socket = await open_socket(
            stack.webs[1],
            user,
            "old",
        )
        await socket.chat("hello", client_id="c1")
        await socket.receive_until("reasoning_complete")
        stack.query("UPDATE chat_chatsession SET updated_at = now() - interval '11 days' WHERE public_id = 'old'")
        stack.query("INSERT INTO chat_retentionrule (agent, days) VALUES ('', 10)")
        assert await socket.closed() == 4504
        assert [row["public_id"] for row in stack.query("SELECT public_id FROM chat_chatsession")] == ["kept"]
        await kept.until_ended(await kept.say("and again"))
        await kept.until_current()
        assert stack.query(LEFT) == [{"events": len(stack.events("kept")), "runs": 2}]
    logs = "".join(worker.log.read_text() for worker in stack.workers)
    assert logs.count("Deleted 1 sessions") == 1
