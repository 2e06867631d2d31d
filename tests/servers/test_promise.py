"""The promise, on real processes: whatever is killed, every tab ends with the transcript of the database."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.parts.model_script import Gate, Pace, Reasoning, Text, ToolCall, Usage
from tests.parts.model_server import ModelServer
from tests.parts.redis_server import RedisServer
from tests.parts.site_process import NewSite, Site
from tests.parts.socket_client import LiveTab, open_tab

ANSWER = " ".join(str(number) for number in range(60))


def script(model_server: ModelServer, *, pace: float = 0.02, gate: str = "") -> str:
    """Reasons, calls a tool, and counts slowly: about three seconds, and where a gate is named not to the end before it opens."""
    counting = [Text(ANSWER), Gate(gate), Text(" and so on")] if gate else [Text(ANSWER)]
    return model_server.script(
        [Reasoning("I should calculate that."), ToolCall("calculator", {"expression": "6*7"})],
        [Pace(pace), *counting, Usage(10, 60)],
    )


async def assert_all_equal(site: Site, session_id: str, tabs: list[LiveTab]) -> None:
    """Every tab, and one that opens only now, holds what the database holds: gapless, each event once."""
    async with open_tab(site.servers, tabs[0]._user, session_id) as fresh:
        await fresh.until_current()
        rows = site.events(session_id)
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        for tab in [*tabs, fresh]:
            await tab.until_current()
            assert [(frame["seq"], frame["run_id"]) for frame in tab.transcript()] == [
                (row["seq"], row["run_id"]) for row in rows
            ]
            steps = {row["seq"]: row["content"] for row in rows if row["type"] == "step"}
            for frame in tab.transcript():
                if frame["seq"] in steps:
                    assert frame["data"]["content"] == steps[frame["seq"]]
            assert tab.tab.state() == fresh.tab.state()


async def until_text(tab: LiveTab, run_id: str, length: int) -> None:
    """Return when the run's draft in this tab has so many characters."""
    await tab.until(
        lambda tab: run_id in tab.runs and any(len(draft.text) >= length for draft in tab.runs[run_id].drafts.values())
    )


async def test_two_servers_show_the_same(
    new_site: NewSite, redis_server: RedisServer, model_server: ModelServer
) -> None:
    """Tabs on two servers watch one run live; a tab that opens in mid-token on the other server has the text so far."""
    site = new_site(servers=2, redis=redis_server)
    user = site.new_user()
    name = model_server.script([Text("One two three "), Gate("half"), Text("four five."), Gate("end")])
    one, two = site.servers
    async with open_tab(one, user, "s") as first, open_tab(two, user, "s") as second:
        run_id = await first.say(f"script:{name}")
        await asyncio.gather(until_text(first, run_id, 14), until_text(second, run_id, 14))
        async with open_tab(two, user, "s") as late:
            await until_text(late, run_id, 14)
            assert late.tab.state() == first.tab.state() == second.tab.state()
            model_server.open("half")
            await asyncio.gather(*(until_text(tab, run_id, 24) for tab in (first, second, late)))
            model_server.open("end")
            await late.until_ended(run_id)
            await assert_all_equal(site, "s", [first, second, late])


async def test_stop_from_the_other_server(new_site: NewSite, own_redis: RedisServer, model_server: ModelServer) -> None:
    """Stop works from any server, also while Redis is gone, and closes the model's stream."""
    site = new_site(servers=2, redis=own_redis)
    user = site.new_user()
    for redis_is_there in (True, False):
        name = model_server.script([Text("Once upon a time "), Gate("never")])
        async with open_tab(site.servers[0], user, "s") as first, open_tab(site.servers[1], user, "s") as second:
            run_id = await first.say(f"script:{name}")
            await until_text(first, run_id, 10)
            if not redis_is_there:
                own_redis.stop()
            await second.send("interrupt")
            await second.until(lambda tab: any(f["type"] == "interrupted" for f in second.frames))
            await model_server.until(lambda requests: requests[-1].end == "disconnected")
            await first.until_current()
            assert first.tab.runs[run_id].state == "stopped"
            await assert_all_equal(site, "s", [first, second])


async def test_the_same_message_on_two_servers_at_once(
    new_site: NewSite, redis_server: RedisServer, model_server: ModelServer
) -> None:
    """One `client_id` is one run, whichever server takes it."""
    site = new_site(servers=2, redis=redis_server)
    user = site.new_user()
    name = model_server.script([Text("ok")])
    async with open_tab(site.servers[0], user, "s") as first, open_tab(site.servers[1], user, "s") as second:
        for index in range(5):
            said = [tab.say(f"script:{name}", client_id=f"c-{index}") for tab in (first, second)]
            one, two = await asyncio.gather(*said)
            assert one == two
            await first.until_ended(one)
        assert len(site.runs("s")) == 5
        await assert_all_equal(site, "s", [first, second])


async def test_redis_restarted_in_mid_run(new_site: NewSite, own_redis: RedisServer, model_server: ModelServer) -> None:
    """What Redis lost while it was away is found in the log; the run does not notice."""
    site = new_site(servers=2, redis=own_redis, HEARTBEAT_SECONDS="2")
    user = site.new_user()
    async with open_tab(site.servers[0], user, "s") as first, open_tab(site.servers[1], user, "s") as second:
        run_id = await first.say(f"script:{script(model_server)}")
        await until_text(second, run_id, 20)
        own_redis.restart()
        # Nobody asks: within a heartbeat each socket finds out for itself.
        await asyncio.gather(first.until_ended(run_id), second.until_ended(run_id))
        assert first.tab.runs[run_id].state == "completed"
        again = await second.say(f"script:{script(model_server, pace=0)}")
        await asyncio.gather(first.until_ended(again), second.until_ended(again))
        await assert_all_equal(site, "s", [first, second])


async def test_redis_gone_before_the_question(
    new_site: NewSite, own_redis: RedisServer, model_server: ModelServer
) -> None:
    """Without Redis a message is accepted, its run goes on, sockets open, and each learns what it missed by asking."""
    site = new_site(servers=1, redis=own_redis, HEARTBEAT_SECONDS="1", LAYER_SECONDS="0.5")
    user = site.new_user()
    own_redis.stop()
    async with open_tab(site, user, "s") as first:
        run_id = await first.say(f"script:{script(model_server, pace=0)}")
        await first.until_ended(run_id, timeout=40)
        assert first.tab.runs[run_id].state == "completed"
        await assert_all_equal(site, "s", [first])


@pytest.mark.parametrize("moment", [0, 30, 120])
async def test_a_killed_server(
    new_site: NewSite, redis_server: RedisServer, model_server: ModelServer, moment: int
) -> None:
    """`kill -9` of the server that drives the run: its tabs go to the other one, as does the run, and all see the same."""
    site = new_site(servers=2, redis=redis_server, LEASE_SECONDS="1.5")
    user = site.new_user()
    async with (
        open_tab(site.servers, user, "s") as moved,
        open_tab(site.servers[1], user, "s") as stayed,
    ):
        lost = await moved.say(f"script:{script(model_server, gate='killed')}")
        waiting = await moved.say(f"script:{script(model_server, pace=0)}")
        await until_text(stayed, lost, moment) if moment else await stayed.until(lambda tab: lost in tab.runs)
        site.servers[0].kill()
        model_server.open("killed")
        await asyncio.gather(*(tab.until_ended(waiting) for tab in (moved, stayed)))
        assert (stayed.tab.runs[lost].state, stayed.tab.runs[lost].attempt) == ("completed", 2)
        assert stayed.tab.runs[waiting].state == "completed"
        await assert_all_equal(site, "s", [moved, stayed])


@pytest.mark.long
async def test_the_only_server_killed_at_any_moment(new_site: NewSite, model_server: ModelServer) -> None:
    """Killed and started again at random moments of runs, the site ends each run once and shows each tab the same."""
    site = new_site(servers=1)
    user = site.new_user()
    chance = random.Random(4)
    async with open_tab(site, user, "s") as one, open_tab(site, user, "s") as two:
        for _ in range(3):
            said = asyncio.create_task(one.say(f"script:{script(model_server)}"))
            await asyncio.sleep(chance.uniform(0.0, 1.5))
            site.servers[0].restart()
            run_id = await said
            await asyncio.gather(one.until_ended(run_id), two.until_ended(run_id))
        await assert_all_equal(site, "s", [one, two])
        ends = [row for row in site.events("s") if row["type"] == "run_end"]
        assert len(ends) == len(site.runs("s")) == 3


async def test_tabs_that_lose_the_network(
    new_site: NewSite, redis_server: RedisServer, model_server: ModelServer
) -> None:
    """Cut off again and again in mid-token, tabs catch up each time."""
    site = new_site(servers=2, redis=redis_server)
    user = site.new_user()
    chance = random.Random(7)
    async with open_tab(site.servers, user, "s") as steady, open_tab(site.servers[::-1], user, "s") as shaky:
        run_id = await steady.say(f"script:{script(model_server, pace=0.03)}")
        while run_id in steady.tab.active or run_id not in steady.tab.runs:
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            await shaky.offline()
            await asyncio.sleep(chance.uniform(0.0, 0.1))
            shaky.online()
            await shaky.until(lambda tab: not tab.resuming)
        await assert_all_equal(site, "s", [steady, shaky])
        assert len(shaky.close_codes) > 3
