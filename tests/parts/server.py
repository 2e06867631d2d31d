"""One process of the site, killed, paused and restarted at will: a web server or a worker."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.parts.child import Child, free_port
from tests.parts.installation import TOP, Installation, User
from tests.parts.part import Part

START_SECONDS = 60
END_SECONDS = 20


class Process(Part):
    """A command of `manage.py` that has started once it has written a line with `ready`. `env` is that of its next start."""

    _child: Child
    _end_seconds: float = END_SECONDS

    def __init__(self, words: list[str], *, ready: str, env: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._words = [sys.executable, str(TOP / "manage.py"), *words]
        self._ready = ready
        self.env = dict(env)
        self.begin()

    def start(self) -> None:
        self.begin()
        self.wait_until_ready()

    def begin(self) -> None:
        """As `start`, without waiting."""
        self._child = Child(self._words, log=self.log, env=self.env, cwd=TOP, may_fork=True)

    def wait_until_ready(self) -> None:
        """Returns when it is ready. Raises `DiedEarly`, with its output, where it does not get there."""
        self._child.wait_until(lambda: self.is_ready, timeout=START_SECONDS)

    @property
    def is_ready(self) -> bool:
        return self._ready in self._child.output()

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self._child.kill()

    def term(self) -> int:
        """SIGTERM, and the exit code."""
        return self._child.term(timeout=self._end_seconds)

    def tell_to_end(self) -> None:
        """SIGTERM, without waiting."""
        self._child.signal(signal.SIGTERM)

    def wait_for_end(self) -> int:
        """The exit code, once it has ended. Raises `subprocess.TimeoutExpired`."""
        return self._child.process.wait(self._end_seconds)

    def wait_until_it_says(self, text: str) -> None:
        """Returns once its output holds the text. Raises `DiedEarly`, with its output, where it does not get there."""
        self._child.wait_until(lambda: text in self._child.output(), timeout=END_SECONDS)

    def restart(self) -> None:
        """Kill, and start again as it was."""
        if self.running:
            self.kill()
        self.start()

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.signal(signal.SIGCONT)


class Server(Process):
    """A web server, and a door of its own. Keeps its port over restarts."""

    def __init__(self, installation: Installation, env: Mapping[str, str], *, log: Path) -> None:
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self._installation = installation
        # The line is written once the first request was answered.
        super().__init__(["serve", "--port", str(self.port)], ready="Glassbox is at ", env=env, log=log)

    def cookie(self, user: User) -> str:
        return self._installation.cookie(user)


class Worker(Process):
    """A process that drives runs."""

    def __init__(self, env: Mapping[str, str], *, log: Path, arguments: Sequence[str] = ()) -> None:
        # It first lets its runs come to an end.
        self._end_seconds = float(env.get("GRACE_SECONDS", "30")) + END_SECONDS
        super().__init__(["agentworker", *arguments], ready=" is ready", env=env, log=log)

    @property
    def name(self) -> str:
        """What the database knows the present process by."""
        found = re.search(r"^Agent worker (.+) is ready$", self.output(), re.MULTILINE)
        assert found, f"it is not ready:\n{self.output()}"
        return found[1]
