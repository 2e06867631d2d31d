"""What processes cost, read from Linux's /proc: processor time with all threads, and resident memory."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS = 0.05


def cpu_seconds(pid: int, *, with_children: bool = False) -> float:
    """Processor time of a process so far; with its children, those that have ended, too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if not with_children:
        return (int(fields[11]) + int(fields[12])) / _TICK
    seconds = sum(map(int, fields[11:15])) / _TICK
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                seconds += cpu_seconds(int(child), with_children=True)
            except (FileNotFoundError, ProcessLookupError):
                pass  # It has ended since, and counts with the next look.
    return seconds


def resident_bytes(pids: Sequence[int]) -> int:
    """The memory that the processes have in RAM together."""
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in pids)


class Meter:
    """Reads the processor time of groups of processes again and again while it is open (`with`).

    `groups` are processes without children, read often; `trees` are parents, read with all their children and less often.
    """

    def __init__(self, groups: Mapping[str, Sequence[int]], trees: Mapping[str, int] | None = None) -> None:
        self._groups = groups
        self._trees = trees or {}
        self._samples: dict[str, list[tuple[float, float]]] = {name: [] for name in [*groups, *self._trees]}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._look(with_trees=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.set()
        self._thread.join()
        self._look(with_trees=True)

    def spent(self, since: float, until: float) -> dict[str, float]:
        """Seconds of processor time of each group between two moments."""
        return {name: _at(samples, until) - _at(samples, since) for name, samples in self._samples.items()}

    def _watch(self) -> None:
        looks = 0
        while not self._closing.wait(SAMPLE_SECONDS):
            looks += 1
            self._look(with_trees=looks % 20 == 0)

    def _look(self, *, with_trees: bool) -> None:
        for name, pids in self._groups.items():
            self._samples[name].append((time.monotonic(), sum(map(cpu_seconds, pids))))
        if with_trees:
            for name, pid in self._trees.items():
                self._samples[name].append((time.monotonic(), cpu_seconds(pid, with_children=True)))


def _at(samples: Sequence[tuple[float, float]], moment: float) -> float:
    """The value at a moment, in between what was read before and after it."""
    after = bisect_left(samples, (moment, 0.0))
    if after == 0:
        return samples[0][1]
    if after == len(samples):
        return samples[-1][1]
    (began, low), (ended, high) = samples[after - 1], samples[after]
    return low + (high - low) * (moment - began) / (ended - began)
