"""How far a command is: a line that is written over on a terminal, and now and then a line of its own elsewhere."""

from __future__ import annotations

import time
from typing import Any

TERMINAL_SECONDS = 0.2
LOG_SECONDS = 5.0


class Progress:
    """`out` is Django's wrapper of a stream. `begun` are those of the runs that were done before."""

    def __init__(self, out: Any, runs: int, *, begun: int = 0) -> None:
        self._out = out
        self._runs = runs
        self._begun_runs = begun
        self._begun = self._shown = time.monotonic()
        self._is_terminal = bool(out.isatty())
        self._line = ""

    def show(self, done: int, size: int) -> None:
        now = time.monotonic()
        if now - self._shown < (TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS):
            return
        self._shown = now
        rate = (done - self._begun_runs) / (now - self._begun)
        left = f", {(self._runs - done) / rate:.0f} s left" if rate else ""
        share = 100 * done // self._runs if self._runs else 100
        line = f"{share} %: {done} of {self._runs} runs, {size / 1e6:.1f} MB, {rate:.0f} runs/s{left}"
        if self._is_terminal:
            self._out.write(f"\r{line:<{len(self._line)}}", str, ending="")
            self._out.flush()
        else:
            self._out.write(line, str)
        self._line = line

    def close(self) -> None:
        if self._is_terminal and self._line:
            self._out.write("")
