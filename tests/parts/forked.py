"""Processes of Python that begin with their libraries imported: forked off one that has them all.

A process of the site needs two seconds of processor time until it serves, nearly all of them for imports; forked it needs a
fifth. The tests start hundreds. What runs is the same program by the same file, from its first line, in an environment of its
own; `tests/site/test_serve.py`, the stack's and the longer proofs start theirs as a user does.
"""

from __future__ import annotations

import atexit
import ctypes
import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

PR_SET_PDEATHSIG = 1

_context = multiprocessing.get_context("forkserver")
_lock = threading.Lock()
_started: list[Forked] = []
_is_used = False


def use() -> None:
    """From now on `is_used`. For runs of many short tests."""
    global _is_used  # noqa: PLW0603 - of the test run, as the process is that it forks from
    _is_used = True
    _context.set_forkserver_preload(["tests.parts.preloaded"])
    # Later than multiprocessing's own, and so before it: that one waits for children, and a paused one never ends.
    atexit.register(_kill_all)


def is_used() -> bool:
    return _is_used


class Forked:
    """`python FILE …`, as far as a `subprocess.Popen` of it goes. On Linux it dies with whoever started it."""

    def __init__(
        self, words: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdout: Path, stderr: Path | None = None
    ) -> None:
        """`words` begin with the file. Output is appended to the files; without one for errors they go with the rest."""
        # Whoever asks what it has written so far need not wait for it.
        for path in {stdout, stderr or stdout}:
            path.touch()
        self.returncode: int | None = None
        arguments = (list(words), dict(env), str(cwd), str(stdout), str(stderr or stdout))
        self._process: BaseProcess = _context.Process(target=_run, args=arguments, daemon=True)
        with _lock:
            self._process.start()
            _started[:] = [other for other in _started if other.returncode is None] + [self]
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal's number; None while it runs."""
        if self.returncode is None:
            # The code can be read once; multiprocessing reads everybody's whenever it starts one.
            with _lock:
                self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises `subprocess.TimeoutExpired`."""
        if self.poll() is None:
            wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("forked", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Nothing, where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(words: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` of `python FILE …`, its output captured; forked where that `is_used`."""
    if not _is_used:
        return subprocess.run([sys.executable, *words], env=env, cwd=cwd, capture_output=True, text=True, check=False)
    with tempfile.TemporaryDirectory(prefix="glassbox-forked-") as folder:
        stdout, stderr = Path(folder) / "stdout", Path(folder) / "stderr"
        code = Forked(words, env=env, cwd=cwd, stdout=stdout, stderr=stderr).wait()
        return subprocess.CompletedProcess([sys.executable, *words], code, stdout.read_text(), stderr.read_text())


def _kill_all() -> None:
    for process in _started:
        process.kill()


def _run(words: list[str], env: dict[str, str], cwd: str, stdout: str, stderr: str) -> None:
    """In the new process: all that is of whoever forked it gives way to what it was to begin with."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    # A test run in the background ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Also because multiprocessing gives each of its children what keeps its server alive, and with that all the others.
    os.closerange(3, 1024)
    for path, number in ((os.devnull, 0), (stdout, 1), (stderr, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    unbuffered = bool(env.get("PYTHONUNBUFFERED"))
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    out = os.fdopen(1, "wb", 0 if unbuffered else -1, closefd=False)
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=unbuffered)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = words
    sys.path[0:0] = [os.path.dirname(words[0])]  # noqa: PTH120 - as the interpreter does
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        # Multiprocessing leaves without.
        threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter's end begins with
        atexit._run_exitfuncs()
