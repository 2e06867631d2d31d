"""The whole stack on this machine, for trying: PostgreSQL, a Redis, nginx, web servers and workers. `make stack` starts it.

What dies is started again, as a supervisor would, so that anything may be killed to see what becomes of it. The data are kept
in `var/stack` from one time to the next.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.parts import family
from tests.parts.child import DiedEarly
from tests.parts.part import Part
from tests.parts.postgres_server import PostgresServer
from tests.parts.proxy import Proxy
from tests.parts.server import Process
from tests.parts.stack import Stack

TOP = Path(__file__).resolve().parent.parent
# A part that dies is started again after a pause, which doubles each time that it dies soon.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
SOON = 20.0
LOOK_SECONDS = 0.1
SAME_SIGNAL_SECONDS = 0.5
TAIL = 15


class Refused(Exception):
    """It can't start; says why and what to do."""


def say(text: str) -> None:
    print(text, flush=True)


# --- what it is started with ------------------------------------------------------------------------------------------


def count(name: str, environment: Mapping[str, str]) -> int:
    """How many web servers or workers. Raises `Refused` for what is no number of them."""
    text = environment.get(name) or "2"
    if not re.fullmatch(r"[1-9]\d?", text):
        raise Refused(f"{name}={text}: say a number from 1 to 99.")
    return int(text)


def port(environment: Mapping[str, str]) -> int | None:
    """The proxy's, None for any free one. Raises `Refused` where it can't be had."""
    text = environment.get("PORT", "")
    if not text:
        return None
    if not re.fullmatch(r"\d{1,5}", text) or not 0 < int(text) < 65536:
        raise Refused(f"There is no port {text}; they go from 1 to 65535.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            raise Refused(f"Cannot listen on port {text}: {error.strerror}. Choose another one, or none.") from None
    return int(text)


def of_the_site(environment: Mapping[str, str]) -> dict[str, str]:
    """What is set holds for the stack too, but for what makes it a stack on this machine and nowhere else."""
    hosts = environment.get("ALLOWED_HOSTS")
    return {
        **environment,
        "MODEL": environment.get("MODEL", ""),
        "HTTPS": "0",
        "TRUSTED_PROXIES": "1",
        **({"ALLOWED_HOSTS": f"{hosts},127.0.0.1,localhost"} if hosts else {}),
        # Whoever presses Ctrl-C does not want to wait for long.
        "GRACE_SECONDS": environment.get("GRACE_SECONDS") or "5",
    }


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raises `Refused` where another one runs on the same data."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"Another stack runs on {folder}. DATA_DIR chooses another place.") from None
        yield


# --- while it runs ----------------------------------------------------------------------------------------------------


@dataclass
class Watched:
    name: str
    part: Part
    started: float
    pause: float = FIRST_PAUSE
    due: float | None = None

    def look(self, now: float) -> None:
        """Say that it has ended, once; start it again when its pause is over."""
        if self.due is None:
            if not self.part.running:
                soon = now - self.started < SOON
                self.pause = min(2 * self.pause, LONGEST_PAUSE) if soon else FIRST_PAUSE
                self.due = now + self.pause
                say(f"\n{self.name} {ended(self.part.exit_code)}. The end of its log, {shown(self.part.log)}:")
                say("".join(f"  | {line}\n" for line in tail(self.part)) + f"It starts again in {self.pause:g} s.")
        elif now >= self.due:
            self.due, self.started = None, now
            try:
                # A web server or a worker takes seconds, in which others may die.
                self.part.begin() if isinstance(self.part, Process) else self.part.start()
            except DiedEarly:
                return
            say(f"{self.name} starts again, with pid {self.part.pid}.")


def ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"has ended with {code}"


def tail(part: Part) -> list[str]:
    return part.output().splitlines()[-TAIL:]


def shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def start(stack: Stack, *, webs: int, workers: int) -> None:
    """All parts, one kind after the other: the first web server makes the tables that the workers need."""
    say("PostgreSQL and Redis …")
    stack.postgres.start()
    stack.redis.start()
    say(f"{webs} web server{'s' * (webs > 1)}, which bring the database up to date …")
    stack.add(webs=webs)
    say(f"{workers} worker{'s' * (workers > 1)} …")
    stack.add(workers=workers)
    say("nginx …")
    stack.proxy.start()


def announce(stack: Stack) -> None:
    width = max(map(len, stack.parts))
    say(f"\n  {'part':<{width}}  {'pid':>7}  log")
    for name, part in stack.parts.items():
        say(f"  {name:<{width}}  {part.pid:>7}  {shown(part.log)}")
    say(f"\nGlassbox is at {stack.origin}/ (Ctrl-C ends everything)")
    if not stack.query("SELECT FROM auth_user WHERE is_superuser LIMIT 1"):
        web = stack.webs[0]
        link = re.compile(r"^(It has no administrator.*)\n\s+http://[^/]+(/\S+)$", re.MULTILINE)
        while not (found := link.search(web.output())) and web.running:
            time.sleep(LOOK_SECONDS)
        if found:
            say(f"{found[1]}\n  {stack.origin}{found[2]}")


def watch(stack: Stack) -> None:
    """Until a signal comes."""
    watched = [Watched(name, part, time.monotonic()) for name, part in stack.parts.items()]
    while True:
        for each in watched:
            each.look(time.monotonic())
        time.sleep(LOOK_SECONDS)


def end(stack: Stack) -> None:
    """In order: who serves people says goodbye to them while all that it needs is still there."""
    say("\nEnding: workers hand over what they are working on. Ctrl-C again does not wait for that.")
    for part in stack.parts.values():
        if part.running:
            # What was stopped by hand can't end.
            family.send(signal.SIGCONT, [part.pid, *family.children(part.pid)])
    running = [process for process in stack.processes if process.running]
    with ThreadPoolExecutor(len(running) or 1) as pool:
        list(pool.map(_term, running))
    for part in (stack.proxy, stack.postgres):
        if part.running:
            _term(part)


def _term(part: Process | Proxy | PostgresServer) -> None:
    try:
        part.term()
    except DiedEarly as error:
        # It was killed, and the others still have to end.
        say(str(error))


def run(folder: Path) -> None:
    webs, workers = count("WEBS", os.environ), count("WORKERS", os.environ)
    for log in (folder / "logs").glob("*.log"):
        log.unlink()
    stack = Stack(folder, of_the_site(os.environ), port=port(os.environ), durable=True)
    asked: list[float] = []

    def on_signal(number: int, frame: object) -> None:
        asked.append(time.monotonic())
        if len(asked) == 1:
            raise KeyboardInterrupt
        # One signal may come twice: to all that run in a terminal or a service, and once more from `make`.
        if asked[-1] - asked[0] > SAME_SIGNAL_SECONDS:
            family.send(signal.SIGKILL, [process.pid for process in stack.processes if process.running])

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        start(stack, webs=webs, workers=workers)
        announce(stack)
        watch(stack)
    except KeyboardInterrupt:
        end(stack)
    finally:
        asked.append(time.monotonic())
        stack.close()
    say("Stopped.")


def main() -> int:
    # Data and logs are nobody else's to read.
    os.umask(0o077)
    folder = Path(os.environ.get("DATA_DIR") or TOP / "var").resolve() / "stack"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with alone(folder):
            run(folder)
    except (Refused, DiedEarly) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
