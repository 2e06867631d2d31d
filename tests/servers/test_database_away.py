"""PostgreSQL hangs, or cuts a connection at the worst moment: sockets stay open, nothing is acknowledged that is not recorded, and
all of it works again when the database does.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import httpx

from tests.parts.model_script import Text
from tests.parts.model_server import ModelServer
from tests.parts.socket_client import open_socket, open_tab
from tests.parts.stack import NewStack

SECONDS = 1.5


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


async def test_a_frozen_database(new_stack: NewStack, model_server: ModelServer) -> None:
    """Pings are answered, messages refused and pages told to come back within the bound, however often somebody tries; two seconds
    after the thaw a message is accepted and answered, on the sockets that were open.
    """
    stack = new_stack(webs=1, workers=1, DATABASE_SECONDS=str(SECONDS))
    user = stack.new_user()
    question = f"script:{model_server.script([Text('ok')])}"
    web = stack.webs[0]
    stack.cookie(user)
    async with (
        open_tab(web, user, "s") as tab,
        await open_socket(web, user, "p") as pinging,
        await open_socket(web, user, "t") as other,
    ):
        await tab.until_ended(await tab.say(question))
        await other.receive_until("connected")
        await pinging.receive_until("connected")
        before = threads(web.pid)
        stack.postgres.pause()
        async with httpx.AsyncClient(base_url=web.origin, headers={"Cookie": stack.cookie(user)}, timeout=20) as client:
            for _ in range(2):
                began = time.monotonic()
                pages = [asyncio.create_task(client.get("/")) for _ in range(10)]
                sockets = [asyncio.create_task(open_socket(web, user, f"new-{number}")) for number in range(10)]
                await pinging.send("ping", timestamp="there?")
                client_id = await other.chat(question)
                pong = await pinging.receive_until(lambda frame: frame["data"].get("timestamp") == "there?")
                assert pong["data"]["head"] == 0
                refused = await other.receive_until("error")
                assert (refused["data"]["code"], refused["data"]["client_id"]) == ("not_saved", client_id)
                assert time.monotonic() - began < SECONDS + 1
                for answer in await asyncio.gather(*pages):
                    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
                assert time.monotonic() - began < 2 * SECONDS + 1
                for socket in await asyncio.gather(*sockets):
                    assert 4000 <= await socket.closed() < 4500
            assert threads(web.pid) <= before + 24
            await pinging.send("resume", after=0)
            stack.postgres.resume()
            thawed = time.monotonic()
            await pinging.receive_until("resumed", timeout=SECONDS + 3)
            await other.chat(question)
            await other.receive_until("accepted")
            assert (await client.get("/")).status_code == 302
            assert time.monotonic() - thawed < SECONDS + 2
            run_id = await tab.say(question)
            await tab.until_ended(run_id)
            assert tab.tab.runs[run_id].state == "completed"
            assert not tab.close_codes
        assert [frame["seq"] for frame in tab.transcript()] == [event["seq"] for event in stack.events("s")]
        # What was refused was not recorded, neither then nor later.
        assert len(stack.runs("t")) == 1
