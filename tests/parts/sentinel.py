"""A real Sentinel set-up: a primary, a replica, and three Sentinels that agree on which is which; Valkey plays all parts."""

from __future__ import annotations

import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.parts.child import Child, free_port
from tests.parts.redis_server import binary

NAME = "glassbox"
# What a failover takes here is about these two together; where operators run it, tens of seconds.
DOWN_AFTER_MS = 500
FAILOVER_MS = 2000


class Server:
    """A data server, whichever part it plays just now."""

    def __init__(self, folder: Path, *, replica_of: Server | None = None) -> None:
        self.port = free_port()
        words = [
            binary(),
            *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder), "--save", ""),
            *("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
        ]
        if replica_of is not None:
            words += ["--replicaof", f"127.0.0.1 {replica_of.port}"]
        self._child = Child(words, log=folder / f"server-{self.port}.log")

    def wait_until_ready(self) -> None:
        self._child.wait_until(lambda: _answers(self.port), timeout=10)

    def wait_until_follows(self, primary: Server) -> None:
        """Return when the primary counts this one among its replicas."""

        def is_counted() -> bool:
            with primary.client as client:
                return bool(client.info("replication").get("slave0", {}).get("state") == "online")

        self._child.wait_until(is_counted, timeout=15)

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=True)

    def kill(self) -> None:
        self._child.kill()

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.signal(signal.SIGCONT)

    def listeners(self) -> int:
        """How many connections hear the groups that have somebody who listens here, all groups together."""
        with self.client as client:
            return sum(count for _, count in client.pubsub_numsub(*client.pubsub_channels("*__group__*")))

    def wait_for_listeners(self, count: int, *, timeout: float = 10) -> None:
        """Return when there are so many or more."""
        deadline = time.monotonic() + timeout
        while (found := self.listeners()) < count:
            assert time.monotonic() < deadline, f"{found} listeners instead of {count}"
            time.sleep(0.02)


class SentinelSetUp:
    """`url` is what a site is given."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="glassbox-sentinel-")
        folder = Path(self._folder.name)
        first = Server(folder)
        first.wait_until_ready()
        second = Server(folder, replica_of=first)
        second.wait_until_follows(first)
        self.servers = [first, second]
        self._ids = {free_port(): secrets.token_hex(20) for _ in range(3)}
        self.ports = list(self._ids)
        self.sentinels = [self._sentinel(folder, port) for port in self.ports]
        for port, child in zip(self.ports, self.sentinels, strict=True):
            child.wait_until(lambda port=port: self._knows_all(port), timeout=15)  # type: ignore[misc] # mypy infers no lambda's default
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/{NAME}/0"

    def _sentinel(self, folder: Path, port: int) -> Child:
        first, second = self.servers
        lines = [
            *("bind 127.0.0.1", f"port {port}", f"dir {folder}", f"sentinel myid {self._ids[port]}"),
            f"sentinel monitor {NAME} 127.0.0.1 {first.port} 2",
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {NAME} {FAILOVER_MS}",
            # They would find each other within seconds; told, they know at once.
            f"sentinel known-replica {NAME} 127.0.0.1 {second.port}",
            *(f"sentinel known-sentinel {NAME} 127.0.0.1 {one} {its}" for one, its in self._ids.items() if one != port),
        ]
        # A Sentinel writes what it learns into its configuration.
        path = folder / f"sentinel-{port}.conf"
        path.write_text("\n".join(lines) + "\n")
        return Child([binary(), str(path), "--sentinel"], log=folder / f"sentinel-{port}.log")

    def _knows_all(self, port: int) -> bool:
        try:
            with redis.Redis(port=port, socket_timeout=1) as client:
                state = client.sentinel_master(NAME)
                return bool(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1)
        except redis.RedisError:
            return False

    @property
    def primary(self) -> Server:
        """What the first Sentinel takes for it."""
        with redis.Redis(port=self.ports[0], socket_timeout=5, decode_responses=True) as client:
            _, port = client.sentinel_get_master_addr_by_name(NAME)
        return next(server for server in self.servers if server.port == port)

    def wait_for_failover(self, old: Server, *, timeout: float = 15) -> Server:
        """Return the new primary once the Sentinels have agreed on it and it knows of it itself."""
        deadline = time.monotonic() + timeout
        while True:
            new = self.primary
            if new is not old:
                with new.client as client:
                    if client.role()[0] == "master":
                        return new
            assert time.monotonic() < deadline, "no failover"
            time.sleep(0.02)

    def close(self) -> None:
        for child in [*self.sentinels, *(server._child for server in self.servers)]:
            child.kill()
        self._folder.cleanup()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


@pytest.fixture
def sentinel() -> Iterator[SentinelSetUp]:
    """A set-up of this test's own, to fail over."""
    made = SentinelSetUp()
    try:
        yield made
    finally:
        made.close()
