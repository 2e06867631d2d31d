"""The channel layer over a real Redis that is silent, hangs, is killed, and cuts its listeners off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis
from channels.layers import channel_layers
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError

from chat import group
from reasoning_site import shard
from reasoning_site.channel_layer import ChannelLayer
from reasoning_site.redis_hosts import redis_hosts
from tests.parts.redis_server import RedisServer

NewLayer = Callable[..., ChannelLayer]


@pytest.fixture
async def new_layer() -> AsyncIterator[NewLayer]:
    """Layers as processes have them, each with connections of its own."""
    made: list[ChannelLayer] = []

    def make(url: str, *, seconds: float = 2) -> ChannelLayer:
        made.append(ChannelLayer(hosts=redis_hosts(url, seconds=seconds), prefix="test"))
        return made[-1]

    yield make
    for layer in made:
        await layer.flush()


async def listening(layer: ChannelLayer, group: str = "g") -> str:
    """A channel that hears the group."""
    channel: str = await layer.new_channel()
    await layer.group_add(group, channel)
    return channel


async def heard(layer: ChannelLayer, channel: str) -> Any:
    async with asyncio.timeout(5):
        return (await layer.receive(channel))["text"]


async def until_through(sender: ChannelLayer, receiver: ChannelLayer, channel: str, *, seconds: float) -> None:
    """Send until something arrives."""

    async def keep_sending() -> None:
        while True:
            try:
                async with asyncio.timeout(0.5):
                    await sender.group_send("g", {"type": "x", "text": "back"})
            except (RedisError, TimeoutError):
                pass
            await asyncio.sleep(0.05)

    sending = asyncio.create_task(keep_sending())
    try:
        async with asyncio.timeout(seconds):
            await receiver.receive(channel)
    finally:
        sending.cancel()
        await asyncio.wait({sending})


def clients(server: RedisServer) -> set[str]:
    """The connections that listen."""
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        return {each["id"] for each in client.client_list(_type="pubsub")}


async def test_silence_for_longer_than_every_time_out(
    redis_server: RedisServer, new_layer: NewLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that is told nothing for long stays subscribed: the time-outs are for answers, not for announcements."""
    monkeypatch.setattr(shard, "BEAT_SECONDS", 60)
    layer = new_layer(redis_server.url, seconds=0.1)
    channel = await listening(layer)
    before = clients(redis_server)
    await asyncio.sleep(1)
    await layer.group_send("g", {"type": "x", "text": "after all"})
    assert await heard(layer, channel) == "after all"
    assert clients(redis_server) == before


async def test_its_own_beat_keeps_a_silent_connection(
    redis_server: RedisServer, new_layer: NewLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beats that are heard are no reason to begin anew, however many."""
    monkeypatch.setattr(shard, "BEAT_SECONDS", 0.05)
    layer = new_layer(redis_server.url)
    await listening(layer)
    before = clients(redis_server)
    await asyncio.sleep(1)
    assert clients(redis_server) == before


async def test_a_hung_server_is_found_out_and_then_costs_nothing(own_redis: RedisServer, new_layer: NewLayer) -> None:
    """After a moment every call fails at once; a channel can still be made. All of it works again when the server does."""
    layer, other = new_layer(own_redis.url), new_layer(own_redis.url)
    channel = await listening(layer)
    await listening(other)
    own_redis.pause()
    async with asyncio.timeout(20):
        while True:
            try:
                await layer.group_send("g", {"type": "x", "text": "?"})
            except NotConnected as error:
                if "away" in str(error):
                    break
            except (RedisError, TimeoutError):
                pass
    late = await layer.new_channel()
    for call in (layer.group_add("g", late), layer.group_add("new", late), layer.group_send("g", {"type": "x"})):
        with pytest.raises(NotConnected):
            await call
    await layer.group_discard("g", channel)
    own_redis.resume()
    # Joined while it was away: made good without being asked for again.
    await until_through(other, layer, late, seconds=20)


@pytest.mark.parametrize("fault", ["restart", "flush", "kill pubsub", "kill normal"])
async def test_what_a_server_does_to_its_clients(own_redis: RedisServer, new_layer: NewLayer, fault: str) -> None:
    """Announcements flow again, to the groups that were joined before."""
    layer, other = new_layer(own_redis.url), new_layer(own_redis.url)
    channel = await listening(layer)
    await until_through(other, layer, channel, seconds=20)
    if fault == "restart":
        own_redis.restart()
    elif fault == "flush":
        own_redis.flush()
    else:
        with redis.Redis.from_url(own_redis.url) as client:
            client.client_kill_filter(_type=fault.split()[1])
    while not layer._get_layer().channels[channel].empty():
        await layer.receive(channel)
    await until_through(other, layer, channel, seconds=20)


async def test_an_outage_of_the_listener_is_counted_when_all_is_heard_again(
    own_redis: RedisServer, new_layer: NewLayer
) -> None:
    """Also where this process had nothing to say meanwhile: what it did not hear it has to ask for."""
    layer, other = new_layer(own_redis.url), new_layer(own_redis.url)
    channel = await listening(layer)
    await until_through(other, layer, channel, seconds=20)
    assert layer.outages == 0
    with redis.Redis.from_url(own_redis.url) as client:
        client.client_kill_filter(_type="pubsub")
    async with asyncio.timeout(5):
        while layer.outages == 0:  # noqa: ASYNC110 - a count tells nobody
            await asyncio.sleep(0.01)
    assert layer.outages == 1
    while not layer._get_layer().channels[channel].empty():
        await layer.receive(channel)
    await other.group_send("g", {"type": "x", "text": "at once"})
    assert await heard(layer, channel) == "at once"


async def test_thousands_of_subscriptions_are_confirmed_in_their_time(
    own_redis: RedisServer, new_layer: NewLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no silence if the beat's confirmation, the last, takes many beats: begun anew each time, it would never come."""
    layer, other = new_layer(own_redis.url), new_layer(own_redis.url)
    channel = await listening(layer)
    await until_through(other, layer, channel, seconds=20)
    layer._get_layer()._shards[0]._names.update(f"name-{number}" for number in range(20_000))
    monkeypatch.setattr(shard, "BEAT_SECONDS", 0.05)
    with redis.Redis.from_url(own_redis.url) as client:
        client.client_kill_filter(_type="pubsub")
    async with asyncio.timeout(20):
        while layer.outages == 0:  # noqa: ASYNC110 - a count tells nobody
            await asyncio.sleep(0.01)


async def test_a_connection_that_breaks_under_a_subscription(own_redis: RedisServer, new_layer: NewLayer) -> None:
    """A channel can be made in that moment too, and hears what it joins as soon as the listener is back."""
    layer, other = new_layer(own_redis.url), new_layer(own_redis.url)
    await listening(layer)
    layer._get_layer()._shards[0]._connection._writer.transport.abort()
    channel = await layer.new_channel()
    with contextlib.suppress(NotConnected):
        await layer.group_add("g", channel)
    await until_through(other, layer, channel, seconds=20)


async def test_giving_up_what_has_just_run_out_of_time(own_redis: RedisServer, new_layer: NewLayer) -> None:
    """A time-out that has struck can't be set anew; the listener would end over it, and with it all that is heard."""
    layer = new_layer(own_redis.url)
    await listening(layer)
    spent = asyncio.timeout(0)
    with pytest.raises(TimeoutError):
        async with spent:
            await asyncio.sleep(5)
    layer._get_layer()._shards[0]._sending = spent
    await layer._get_layer()._shards[0]._disconnect()


async def test_what_is_said_at_once_goes_out_together_and_in_order(own_redis: RedisServer, new_layer: NewLayer) -> None:
    """One answer is waited for, not one after the other; somebody who does not wait any longer takes nobody along."""
    layer, other = new_layer(own_redis.url), new_layer(own_redis.url)
    channel = await listening(other)
    await layer.group_send("g", {"type": "x", "text": "first"})
    assert await heard(other, channel) == "first"
    own_redis.pause()
    said = [asyncio.create_task(layer.group_send("g", {"type": "x", "text": number})) for number in range(20)]
    await asyncio.sleep(0)
    said[3].cancel()
    own_redis.resume()
    await asyncio.wait(said)
    assert [task.cancelled() for task in said] == [number == 3 for number in range(20)]
    assert [await heard(other, channel) for _ in range(19)] in ([n for n in range(20) if n != 3], list(range(19)))
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.info("commandstats")["cmdstat_publish"]["calls"] >= 20


async def test_a_layer_that_only_sends(own_redis: RedisServer, new_layer: NewLayer) -> None:
    """As a form of the admin uses it: no listener is begun, and it works again after a restart."""
    layer = new_layer(own_redis.url)
    await layer.group_send("g", {"type": "x"})
    assert not clients(own_redis)
    own_redis.restart()
    await layer.group_send("g", {"type": "x"})


async def test_leaving_is_told_to_the_server(redis_server: RedisServer, new_layer: NewLayer) -> None:
    """Nothing stays subscribed for sockets that are gone."""
    layer = new_layer(redis_server.url)
    channel = await listening(layer, "left")
    receiving = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    await layer.group_discard("left", channel)
    receiving.cancel()
    await asyncio.wait({receiving})
    await listening(layer, "stays")
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        assert client.pubsub_channels("test__group__*") == ["test__group__stays"]
        assert channel not in client.pubsub_channels("test*")


async def test_who_leaves_while_it_is_away_is_gone_for_good(own_redis: RedisServer, new_layer: NewLayer) -> None:
    """Sockets come and go while Redis is away, too; the groups of those that went are not joined again when it is back."""
    layer = new_layer(own_redis.url)
    channel_layers.set("default", layer)
    try:
        channel = await listening(layer, "left")
        own_redis.stop()
        assert not await group.tell("left", {"type": "x"})
        await group.leave("left", channel)
        own_redis.start()
        async with asyncio.timeout(20):
            while not await group.join("stays", channel):  # noqa: ASYNC110 - nothing tells when it is back
                await asyncio.sleep(0.05)
    finally:
        channel_layers.backends.clear()
    with redis.Redis.from_url(own_redis.url, decode_responses=True) as client:
        assert client.pubsub_channels("test__group__*") == ["test__group__stays"]


async def test_closing_leaves_no_task_and_no_connection(own_redis: RedisServer, new_layer: NewLayer) -> None:
    tasks = asyncio.all_tasks()
    layer = new_layer(own_redis.url)
    await listening(layer)
    await layer.flush()
    assert asyncio.all_tasks() == tasks
    async with asyncio.timeout(5):
        while clients(own_redis):  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
