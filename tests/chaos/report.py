"""The table at the end: for each kind of fault how often, what it broke, and how soon everything was alive again."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Done:
    """A fault that took place. `alone` says that nothing else that everybody feels fell into it."""

    number: int
    kind: str
    seconds: float | None
    alone: bool
    broken: str


def table(done: Sequence[Done]) -> str:
    """Time to live again counts where a fault was alone; where another fell into it, it is the second figure."""
    lines = [f"{'fault':<52}{'count':>6}{'broken':>8}{'p50 s':>8}{'max s':>8}{'max s, overlapped':>19}"]
    for kind in sorted({one.kind for one in done}):
        these = [one for one in done if one.kind == kind]
        alone = [one.seconds for one in these if one.seconds is not None and one.alone]
        others = [one.seconds for one in these if one.seconds is not None and not one.alone]
        broken = sum(bool(one.broken) for one in these)
        lines.append(
            f"{kind:<52}{len(these):>6}{broken:>8}{_figure(alone, 0.5):>8}{_figure(alone, 1):>8}{_figure(others, 1):>19}"
        )
    lines.append(f"{'all':<52}{len(done):>6}{sum(bool(one.broken) for one in done):>8}")
    return "\n".join(lines)


def _figure(values: Sequence[float], share: float) -> str:
    if not values:
        return "-"
    return f"{max(values) if share == 1 else statistics.median(values):.1f}"
