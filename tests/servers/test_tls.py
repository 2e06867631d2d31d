"""TLS to Redis and to PostgreSQL: certificates are checked, and what is refused says why.

Neither server of the wheels speaks TLS; an nginx in front of each ends it. For PostgreSQL that needs `sslnegotiation=direct`: else
a client asks in the clear first.
"""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import RedisError

from reasoning_site.channel_layer import ChannelLayer
from reasoning_site.redis_hosts import redis_hosts
from tests.parts.child import DiedEarly
from tests.parts.model_script import Gate, Text
from tests.parts.model_server import ModelServer
from tests.parts.redis_server import RedisServer
from tests.parts.socket_client import open_tab
from tests.parts.stack import NewStack
from tests.parts.tls import NewTlsEnd
from tests.servers.test_promise import until_text


@pytest.mark.long
async def test_a_stack_whose_every_connection_is_encrypted(
    new_stack: NewStack, new_tls_end: NewTlsEnd, model_server: ModelServer
) -> None:
    """Web servers, workers and the workers' queue speak TLS and check the names: drafts come live, runs are driven at once. With
    somebody else's authority a process refuses the database, and says so.
    """
    stack = new_stack(webs=0, workers=0)
    to_redis = new_tls_end(stack.redis.port)
    to_postgres = new_tls_end(stack.postgres.port, names=["localhost"], alpn="postgresql")
    login, database = stack.postgres.url.split("@")[0], stack.postgres.url.rpartition("/")[2]
    # By the name that the certificate has; verify-full refuses any other.
    place = f"{login}@localhost:{to_postgres.port}/{database}?sslmode=verify-full&sslnegotiation=direct&sslrootcert="
    stack.add(
        webs=2,
        workers=1,
        env={
            "REDIS_URL": f"rediss://127.0.0.1:{to_redis.port}/0?ssl_ca_certs={to_redis.authority.path}",
            "DATABASE_URL": f"{place}{to_postgres.authority.path}",
            # Later than anything here is waited for: the queue has to tell the worker.
            "PICKUP_SECONDS": "60",
        },
    )
    user = stack.new_user()
    name = model_server.script([Text("One two three "), Gate("end")])
    async with open_tab(stack.webs[0], user, "s") as first, open_tab(stack.webs[1], user, "s") as second:
        run_id = await first.say(f"script:{name}")
        await asyncio.gather(until_text(first, run_id, 14), until_text(second, run_id, 14))
        model_server.open("end")
        await asyncio.gather(first.until_ended(run_id), second.until_ended(run_id))
        assert first.tab.runs[run_id].state == "completed"
    stack.env["DATABASE_URL"] = f"{place}{to_postgres.stranger.path}"
    with pytest.raises(DiedEarly, match="certificate verify failed"):
        stack.manage("migrate", "--check")
    stack.env["DATABASE_URL"] = f"{place}{to_postgres.authority.path}".replace("@localhost", "@127.0.0.1")
    with pytest.raises(DiedEarly, match="does not match host name"):
        stack.manage("migrate", "--check")


@pytest.mark.parametrize(
    ("names", "trusts", "complaint"),
    [
        (["127.0.0.1"], "authority", ""),
        (["127.0.0.1"], "stranger", "certificate verify failed"),
        (["redis.example"], "authority", "certificate verify failed: IP address mismatch"),
    ],
)
async def test_a_redis_whose_certificate_is_checked(
    redis_server: RedisServer,
    new_tls_end: NewTlsEnd,
    caplog: pytest.LogCaptureFixture,
    names: list[str],
    trusts: str,
    complaint: str,
) -> None:
    """Neither a certificate of somebody else's nor one for another name is taken, and one line of the log says so."""
    end = new_tls_end(redis_server.port, names=names)
    trusted = getattr(end, trusts).path
    hosts = redis_hosts(f"rediss://127.0.0.1:{end.port}/0?ssl_ca_certs={trusted}", seconds=2)
    layer = ChannelLayer(hosts=hosts, prefix="test")
    channel = await layer.new_channel()
    try:
        if complaint:
            with pytest.raises(RedisError):
                await layer.group_add("g", channel)
            assert [complaint in line for line in caplog.messages] == [True]
        else:
            await layer.group_add("g", channel)
            await layer.group_send("g", {"type": "x", "text": "secret"})
            assert (await layer.receive(channel))["text"] == "secret"
            assert not caplog.messages
    finally:
        await layer.flush()
