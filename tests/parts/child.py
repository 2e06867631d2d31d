"""A child process of the tests: its output kept, its death noticed, and never outliving the test run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.parts import forked
from tests.parts.forked import Forked

MORTAL = Path(__file__).with_name("mortal.py")

# The kernel's death signal follows the *thread* that started the child. This one lives as long as the test run.
_starter = ThreadPoolExecutor(1, thread_name_prefix="starter")


class DiedEarly(Exception):
    """A part ended, or did not get ready in time; carries its output."""


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """One process and its output, which is appended to `log`."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        may_fork: bool = False,
    ) -> None:
        """`may_fork` is for Python and a file: see `forked`."""
        self.words = list(words)
        self.log = log
        self._from = log.stat().st_size if log.exists() else 0
        # The environment of a part is what it is given and no more than it needs to run.
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **(env or {})}

        def begin() -> subprocess.Popen[bytes] | Forked:
            if may_fork and forked.is_used():
                return Forked(self.words[1:], env=environment, cwd=cwd or Path.cwd(), stdout=log)
            with log.open("ab") as output:
                return subprocess.Popen(
                    [sys.executable, "-I", "-S", str(MORTAL), str(os.getpid()), *self.words],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=cwd,
                    start_new_session=True,
                )

        self.process = _starter.submit(begin).result()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def output(self) -> str:
        """What this process wrote so far."""
        return self.log.read_bytes()[self._from :].decode(errors="replace")

    def wait_until(self, ready: Callable[[], bool], *, timeout: float) -> None:
        """Return once `ready()` is true. Raises `DiedEarly`, with the output, if the process ends or time runs out
        first.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise DiedEarly(f"{self.words} ended with {self.process.returncode}:\n{self.output()}")
            if time.monotonic() > deadline:
                self.kill()
                raise DiedEarly(f"{self.words} was not ready after {timeout} s:\n{self.output()}")
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """Without warning, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def term(self, *, timeout: float = 20) -> int:
        """Ask it to end, and return its exit code; killed, and an error, when it has not ended in time."""
        return self._end(signal.SIGTERM, timeout)

    def interrupt(self, *, timeout: float = 20) -> int:
        """As `term`, with SIGINT: what Ctrl-C sends."""
        return self._end(signal.SIGINT, timeout)

    def _end(self, number: int, timeout: float) -> int:
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DiedEarly(
                f"{self.words} ignored {signal.Signals(number).name} for {timeout} s:\n{self.output()}"
            ) from None
