"""Redis hangs, dies, forgets and throws its clients out: nobody waits for it, nothing is lost, and it is used again when it is
back.
"""

from __future__ import annotations

import asyncio

import redis

from tests.parts.model_script import Gate, Pace, Text
from tests.parts.model_server import ModelServer
from tests.parts.redis_server import RedisServer
from tests.parts.site_process import NewSite, Server, User
from tests.parts.socket_client import LiveTab, Socket, open_socket, open_tab
from tests.servers.test_notices import thumbs_of
from tests.servers.test_promise import ANSWER, assert_all_equal, until_text


async def opened(server: Server, user: User, session_id: str) -> Socket:
    """A socket that was told `connected`."""
    socket = await open_socket(server, user, session_id)
    await socket.receive_until("connected")
    return socket


async def live(tabs: list[LiveTab], model_server: ModelServer) -> None:
    """Text that is not recorded yet reaches all tabs: over the group, as there is no other way."""
    name = model_server.script([Pace(0.05), Text(ANSWER * 10)])
    run_id = await tabs[0].say(f"script:{name}")
    await asyncio.gather(*(until_text(tab, run_id, 14) for tab in tabs))
    await tabs[0].send("interrupt")
    await asyncio.gather(*(tab.until_ended(run_id) for tab in tabs))


async def test_a_hung_redis_blocks_nobody(new_site: NewSite, own_redis: RedisServer, model_server: ModelServer) -> None:
    """Sockets open, messages are accepted and answered by asking the log; after the thaw tabs on both servers are told live
    again.
    """
    site = new_site(servers=2, redis=own_redis)
    user = site.new_user()
    here, there = site.servers
    site.cookie(user)
    question = f"script:{model_server.script([Pace(0.02), Text(ANSWER)])}"
    async with open_tab(here, user, "s") as first, open_tab(there, user, "s") as second:
        run_id = await first.say(question)
        await until_text(second, run_id, 20)
        own_redis.pause()
        for number, server in enumerate([here, there]):
            async with await opened(server, user, f"s-{number}") as socket:
                await socket.chat(question)
                await socket.receive_until("accepted")
                await socket.receive_until("reasoning_complete", timeout=20)
        # The run that was under way when it froze: its own server and the other both found out by asking.
        await asyncio.gather(first.until_ended(run_id), second.until_ended(run_id))
        own_redis.resume()
        await live([first, second], model_server)
        await assert_all_equal(site, "s", [first, second])


async def test_redis_killed_emptied_and_its_listeners_thrown_out(
    new_site: NewSite, own_redis: RedisServer, model_server: ModelServer
) -> None:
    """Runs go on meanwhile; after each fault tabs on both servers are told live again."""
    site = new_site(servers=2, redis=own_redis)
    user = site.new_user()
    question = f"script:{model_server.script([Pace(0.02), Text(ANSWER)])}"

    async def throw_out() -> None:
        for _ in range(8):
            with redis.Redis.from_url(own_redis.url) as client:
                client.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.2)

    async def restart() -> None:
        own_redis.restart()

    async def flush() -> None:
        own_redis.flush()

    async with open_tab(site.servers[0], user, "s") as first, open_tab(site.servers[1], user, "s") as second:
        for fault in (restart, flush, throw_out):
            run_id = await first.say(question)
            await until_text(first, run_id, 20)
            await fault()
            await asyncio.gather(first.until_ended(run_id), second.until_ended(run_id))
            assert first.tab.runs[run_id].state == "completed"
            await live([first, second], model_server)
        await assert_all_equal(site, "s", [first, second])


async def test_what_a_server_could_not_tell_while_it_alone_had_no_redis(
    new_site: NewSite, own_redis: RedisServer, model_server: ModelServer
) -> None:
    """The other one hears nothing of it, and loses nothing itself: nobody but the teller can say that there was something.

    Its tabs have the message, the text and the thumb as soon as it is back, though nothing more is recorded for the time being.
    """
    with redis.Redis.from_url(own_redis.url) as client:
        client.acl_setuser("a", enabled=True, passwords=["+word"], commands=["+@all"], keys=["*"], channels=["*"])
        site = new_site(servers=1, redis=own_redis)
        (there,) = site.servers
        here = site.add_server(REDIS_URL=own_redis.url.replace("//", "//a:word@"))
        user = site.new_user()
        name = model_server.script([Text("One two three "), Gate("back"), Text("four five "), Gate("end")])
        async with open_tab(here, user, "s") as first, open_tab(there, user, "s") as second:
            before = await first.say(f"script:{model_server.script([Text('Well.')])}")
            await asyncio.gather(first.until_ended(before), second.until_ended(before))
            client.acl_setuser("a", enabled=False)
            client.execute_command("CLIENT", "KILL", "USER", "a")
            async with asyncio.timeout(20):
                while "Redis is away" not in here.log.read_text():  # noqa: ASYNC110 - a log tells nobody
                    await asyncio.sleep(0.1)
            run_id = await first.say(f"script:{name}")
            # What is recorded may be found by asking, but the text that is being written can't.
            await first.until(lambda tab: run_id in tab.runs and tab.runs[run_id].state == "running")
            assert run_id not in second.tab.runs
            await first.send("feedback", run_id=before, thumb="up")
            await first.until(lambda _: thumbs_of(first) == {before: "up"})
            client.acl_setuser("a", enabled=True)
            await asyncio.gather(until_text(first, run_id, 14), until_text(second, run_id, 14))
            await second.until(lambda _: thumbs_of(second) == {before: "up"})
            model_server.open("back")
            await asyncio.gather(until_text(first, run_id, 24), until_text(second, run_id, 24))
            model_server.open("end")
            await asyncio.gather(first.until_ended(run_id), second.until_ended(run_id))
            await assert_all_equal(site, "s", [first, second])
