"""The processes below a process: what must be stopped, continued or killed together with it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that this one started and that are still there."""
    return [child for child, parent in _parents() if parent == pid]


def is_alive(pid: int) -> bool:
    """Whether it is there and has not ended: one that only waits to be asked for its exit code has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return _stat(pid)[0] != "Z"
    except OSError:
        return not Path("/proc/self").exists()


def wait_until_gone(pids: Collection[int]) -> None:
    """Returns once none of them `is_alive`. Raises `AssertionError` after some seconds."""
    deadline = time.monotonic() + 5
    while left := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, f"{left} outlived their test run"
        time.sleep(0.01)


class Guard:
    """Sends a signal to processes (or, by a negative number, to groups of them) when it is let go of, and when this
    process dies.
    """

    def __init__(self, number: signal.Signals, pids: Collection[int]) -> None:
        # It reads until nobody holds the other end any more.
        words = ["/bin/sh", "-c", 'read -r _; kill -s "$@" 2>/dev/null; true', "guard"]
        self._shell = subprocess.Popen(
            [*words, number.name.removeprefix("SIG"), "--", *map(str, pids)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def let_go(self) -> None:
        """Returns when the signal was sent."""
        assert self._shell.stdin
        self._shell.stdin.close()
        self._shell.wait()


class Pause:
    """A process and its children, stopped at once. They go on with `end()`, and when this process dies: then they can
    notice that their parent did, too, and end.
    """

    def __init__(self, pid: int) -> None:
        # The parent first: from then on it has no new children.
        os.kill(pid, signal.SIGSTOP)
        pids = [pid, *children(pid)]
        send(signal.SIGSTOP, pids)
        self._guard = Guard(signal.SIGCONT, pids)

    def end(self) -> None:
        self._guard.let_go()


def kill(pid: int, *, timeout: float = 10) -> None:
    """Kill a process and its children without warning; returns when none is left. The caller asks for the exit code."""
    pids = [pid, *children(pid)]
    send(signal.SIGKILL, pids)
    deadline = time.monotonic() + timeout
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the processes {left} outlived SIGKILL by {timeout} s")
        time.sleep(0.005)


def send(number: signal.Signals, pids: Collection[int]) -> None:
    """To each that is still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def _parents() -> Iterator[tuple[int, int]]:
    """Each process with its parent."""
    if not Path("/proc/self/stat").exists():
        for line in subprocess.check_output(["ps", "-axo", "pid=,ppid="], text=True).splitlines():
            child, parent = line.split()
            yield int(child), int(parent)
        return
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                yield int(path.name), int(_stat(int(path.name))[1])
            except OSError:
                continue


def _stat(pid: int) -> list[str]:
    # The name, which may have blanks, stands in brackets; state and parent follow it.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
