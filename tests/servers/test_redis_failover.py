"""Sentinel makes another server the primary: the site's processes follow it by themselves."""

from __future__ import annotations

import asyncio

import pytest

from tests.parts.model_script import Gate, Pace, Text
from tests.parts.model_server import ModelServer
from tests.parts.sentinel import SentinelSetUp
from tests.parts.site_process import NewSite
from tests.parts.socket_client import open_tab
from tests.servers.test_promise import assert_all_equal, until_text

COUNTING = " ".join(str(number) for number in range(120))


@pytest.mark.parametrize("fault", ["killed", "hung"])
async def test_a_failover_in_mid_stream(
    new_site: NewSite, sentinel: SentinelSetUp, model_server: ModelServer, fault: str
) -> None:
    """Tabs on two servers lose nothing when the primary is gone or hangs, and afterwards drafts reach the other server live
    again, over the new one; also where the old one comes back.
    """
    site = new_site(servers=2, REDIS_URL=sentinel.url)
    user = site.new_user()
    name = model_server.script([Pace(0.04), Text(COUNTING)])
    async with open_tab(site.servers[0], user, "s") as first, open_tab(site.servers[1], user, "s") as second:
        run_id = await first.say(f"script:{name}")
        await asyncio.gather(until_text(first, run_id, 20), until_text(second, run_id, 20))
        old = sentinel.primary
        # Of each process the groups of the session, of its user and of everyone; of one the driver's.
        listeners = old.listeners()
        assert listeners == 7
        old.kill() if fault == "killed" else old.pause()
        new = await asyncio.to_thread(sentinel.wait_for_failover, old)
        await asyncio.to_thread(new.wait_for_listeners, 6)
        if fault == "hung":
            old.resume()
        await asyncio.gather(first.until_ended(run_id), second.until_ended(run_id))
        gated = model_server.script([Text("One two three "), Gate("end")])
        again = await first.say(f"script:{gated}")
        # What is not recorded yet has no other way to the second server.
        await asyncio.gather(until_text(first, again, 14), until_text(second, again, 14))
        assert new.listeners() == listeners
        model_server.open("end")
        await asyncio.gather(first.until_ended(again), second.until_ended(again))
        await assert_all_equal(site, "s", [first, second])
