"""The connections of the channel layer to one Redis server, which find their own way back.

The library's connection stays bound to the server that it first met, even where Sentinel has made another the primary, and waits
for a server that hangs. Here one task owns the connection that listens. It hears its own beat, published the way of every
announcement; where it does not, it begins anew, asking Sentinel again. Until it hears one, every call fails at once instead of
waiting: the log has what was not announced. It is one file, as what sends and what listens give the same connections up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import uuid
from typing import Any

from channels_redis.utils import create_pool
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

BEAT_SECONDS = 0.5
# So many beats that were not heard, and the connection is given up: counted, not timed, as a process that was stopped itself
# finds what it missed in its buffers.
BEATS_MISSED = 3
CONNECTING_SECONDS = 3.0
PAUSE_SECONDS = 0.25
# How long the server may take for what is published: less than the connection waits for an answer, as it does not let itself be
# interrupted when it has just given up.
PUBLISHING_SECONDS = 1.5
# Every so many beats Sentinel is asked whether the server is still the primary.
BEATS_A_LOOK = 4


class Shard:
    """What `channels_redis` asks of the connections to one server. See the module."""

    def __init__(self, host: dict[str, Any], layer: Any) -> None:
        self._host = host
        self._layer = layer
        self._names: set[str] = set()
        self._subscribed: dict[str, asyncio.Future[bool]] = {}
        self._unsubscribing: set[asyncio.Task[None]] = set()
        self._beat = f"{layer.prefix}__beat__{uuid.uuid4().hex}"
        self._unheard = 0
        self._pool: Any = None
        self._connection: Any = None
        self._is_away = False
        self.outages = 0
        self._unpublished: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._publishing: asyncio.Task[None] | None = None
        self._sending: asyncio.Timeout | None = None
        self._keeping: asyncio.Task[None] | None = None

    # --- asked by the layer ---

    async def publish(self, channel: str, message: bytes) -> None:
        """Raises at once while the server is away. What is published in the same moment, or while others' is on its way, goes out
        together: among many, a message costs a quarter of what it costs alone.
        """
        self._refuse_while_away()
        outcome = asyncio.get_running_loop().create_future()
        self._unpublished.append((channel, message, outcome))
        if self._publishing is None or self._publishing.done():
            self._publishing = asyncio.create_task(self._publish_all())
        await outcome

    async def _publish_all(self) -> None:
        while self._unpublished:
            batch, self._unpublished = self._unpublished, []
            try:
                failure = await self._failure_of([(channel, message) for channel, message, _ in batch])
            except asyncio.CancelledError:
                for _, _, outcome in batch:
                    outcome.cancel()
                raise
            for _, _, outcome in batch:
                if outcome.done():
                    continue  # Whoever waited for it has gone.
                if failure is None:
                    outcome.set_result(None)
                else:
                    outcome.set_exception(failure)

    async def _failure_of(self, messages: list[tuple[str, bytes]]) -> Exception | None:
        """Publish them; returns what kept them from it."""
        try:
            async with asyncio.timeout(PUBLISHING_SECONDS) as self._sending:
                try:
                    await self._publish(messages)
                except (NotConnected, AttributeError):
                    # The server may have closed the connection while nobody used it, or it was given up in mid-command, which
                    # redis-py does not expect. What was sent for all that comes twice.
                    await self._publish(messages)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for it are to have it
            return error
        finally:
            self._sending = None
        return None

    async def _publish(self, messages: list[tuple[str, bytes]]) -> None:
        self._refuse_while_away()
        if self._pool is None:
            self._pool = create_pool(self._host)
        pool = self._pool
        connection = await pool.get_connection()
        try:
            commands = connection.pack_commands([("PUBLISH", channel, message) for channel, message in messages])
            await connection.send_packed_command(commands, check_health=False)
            for _ in messages:
                await connection.read_response()
        except BaseException:
            # An answer may still come. Not waiting for the other end to agree: it may hang.
            await connection.disconnect(nowait=True)
            raise
        finally:
            if pool is not self._pool:
                # Given up meanwhile: nobody else closes what returns to it.
                await connection.disconnect(nowait=True)
            await pool.release(connection)

    async def subscribe(self, name: str) -> None:
        """Returns when the server has confirmed it. Raises at once while the server is away, and is made good later.

        A channel of one receiver is not waited for: the server takes subscriptions in their order, and whoever wants to hear a
        group waits for that.
        """
        self._names.add(name)
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep_listening())
        is_a_receiver = name in self._layer.channels
        if self._is_away and is_a_receiver:
            return
        self._refuse_while_away()
        if name not in self._subscribed:
            self._subscribed[name] = asyncio.get_running_loop().create_future()
            if self._connection is not None:
                try:
                    await self._connection.send_command("SUBSCRIBE", name, check_health=False)
                except (RedisError, OSError, AttributeError) as error:
                    # Whoever listens finds it broken too. An attribute is missing where it was given up in mid-command.
                    if not is_a_receiver:
                        raise NotConnected("Redis does not answer.") from error
        if is_a_receiver:
            return
        # Not to be cancelled with one of those who wait for it.
        if not await asyncio.shield(self._subscribed[name]):
            raise NotConnected("Redis does not answer.")

    async def unsubscribe(self, name: str) -> None:
        """Does not wait for the server: whoever asks may be on its own way out, and be cut off at any await."""
        self._names.discard(name)
        if self._subscribed.pop(name, None) is not None and self._connection is not None:
            task = asyncio.create_task(self._unsubscribe(self._connection, name))
            self._unsubscribing.add(task)
            task.add_done_callback(self._unsubscribing.discard)

    async def _unsubscribe(self, connection: Any, name: str) -> None:
        # Wanted again meanwhile, or given up: redis-py connects anew for a command, and nobody would close that.
        if name in self._subscribed or connection is not self._connection or not connection.is_connected:
            return
        # An attribute is missing where redis-py gave the connection up in mid-command, which it does not expect.
        with contextlib.suppress(RedisError, OSError, AttributeError):
            await connection.send_command("UNSUBSCRIBE", name, check_health=False)

    async def flush(self) -> None:
        """Forget everything and close all connections."""
        self._names.clear()
        for _, _, outcome in self._unpublished:
            outcome.cancel()
        self._unpublished.clear()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
            self._keeping = None
        # What is being sent comes to its own end: cut off, it would leave a connection half open.
        sending = {task for task in (self._publishing, *self._unsubscribing) if task is not None and not task.done()}
        if sending:
            await asyncio.wait(sending, timeout=PUBLISHING_SECONDS)
        self._is_away = False
        await self._disconnect()
        # What is closed without waiting is closed in the loop's next turns, which may else be its last.
        for _ in range(3):
            await asyncio.sleep(0)

    def _refuse_while_away(self) -> None:
        if self._is_away:
            raise NotConnected("Redis is away.")

    # --- the connection that listens ---

    async def _keep_listening(self) -> None:
        while True:
            try:
                try:
                    async with asyncio.timeout(CONNECTING_SECONDS):
                        connection = await self._connect()
                    await self._listen(connection)
                finally:
                    await self._disconnect()
            except Exception as error:  # noqa: BLE001 - whatever ends one connection, there must be another
                # The library's own text says where the server is and what it did, and no password.
                logger.log(logging.DEBUG if self._is_away else logging.WARNING, "Redis is away: %s", _explained(error))
                self._is_away = True
            await asyncio.sleep(PAUSE_SECONDS)

    async def _connect(self) -> Any:
        """Connect anew, and subscribe to all that is wanted; a new pool asks Sentinel, and trusts no old connection."""
        if self._pool is not None:
            await self._disconnect()
        self._pool = create_pool(self._host)
        connection = await self._pool.get_connection()
        loop = asyncio.get_running_loop()
        for name in self._names:
            self._subscribed.setdefault(name, loop.create_future())
        self._connection = connection
        # The beat is the last: when it is subscribed to, all are.
        await connection.send_command("SUBSCRIBE", *self._subscribed, self._beat, check_health=False)
        return connection

    async def _listen(self, connection: Any) -> None:
        """Take what comes until the connection fails."""
        self._unheard = 0
        work = [asyncio.create_task(self._read(connection)), asyncio.create_task(self._keep_beating(connection))]
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _read(self, connection: Any) -> None:
        while True:
            # Silence is no error: the beat says whether the server is there.
            kind, name, data = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            match kind, name.decode():
                case b"message", self._beat:
                    self._unheard = 0
                case b"message", channel:
                    self._layer_receives(channel, data)
                case b"subscribe", self._beat:
                    self._came_back()
                case b"subscribe", channel if channel in self._subscribed:
                    # Among thousands the beat's own comes late. Once it has, only the beat says that all is heard.
                    if self._is_away:
                        self._unheard = 0
                    if not self._subscribed[channel].done():
                        self._subscribed[channel].set_result(True)
                case _:
                    pass

    def _layer_receives(self, name: str, data: bytes) -> None:
        channels = self._layer.channels
        for channel in (name,) if name in channels else self._layer.groups.get(name, ()):
            if channel in channels:
                channels[channel].put_nowait(data)

    def _came_back(self) -> None:
        if self._is_away:
            logger.warning("Redis is back.")
            self.outages += 1
        self._is_away = False

    async def _keep_beating(self, connection: Any) -> None:
        loop = asyncio.get_running_loop()
        beats, due = 0, loop.time()
        while True:
            due = max(due + BEAT_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())
            if self._unheard >= BEATS_MISSED:
                raise NotConnected("it does not answer")
            self._unheard += 1
            beats += 1
            if beats % BEATS_A_LOOK == 0 and isinstance(self._pool, SentinelConnectionPool):
                await self._look_for_the_primary(connection)
            try:
                async with asyncio.timeout(BEAT_SECONDS):
                    await self.publish(self._beat, b"")
            except (TimeoutError, RedisError, OSError):
                pass  # It was not heard either, and that is counted.

    async def _look_for_the_primary(self, connection: Any) -> None:
        """A server that was replaced may live on, and take announcements that nobody else hears."""
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                host, port = await self._pool.get_master_address()
        except (RedisError, OSError):
            return
        if (host, port) != (connection.host, connection.port):
            raise NotConnected(f"Sentinel names another primary, {host}:{port}")

    async def _disconnect(self) -> None:
        """Close what there is, and let go of those who wait for it."""
        pool, self._pool, self._connection = self._pool, None, None
        # One that has run out is being heeded already, and refuses to be set anew.
        if self._sending is not None and not self._sending.expired():
            self._sending.reschedule(asyncio.get_running_loop().time())
        waiting, self._subscribed = self._subscribed, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(False)
        if pool is not None:
            for connection in [*pool._available_connections, *pool._in_use_connections]:
                await _give_up(connection)
            if isinstance(pool, SentinelConnectionPool):
                for sentinel in pool.sentinel_manager.sentinels:
                    await sentinel.aclose()


async def _give_up(connection: Any) -> None:
    """Close it without waiting for the other end to agree, which may hang: TLS would, even where redis-py does not."""
    writer = getattr(connection, "_writer", None)
    await connection.disconnect(nowait=True)
    if writer is not None:
        writer.transport.abort()


def _explained(error: Exception) -> str:
    return "no answer" if isinstance(error, TimeoutError) and not str(error) else str(error) or type(error).__name__
