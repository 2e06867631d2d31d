"""What is measured of a number of runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """`ended` are the runs that are over, `failed` those of them that failed, `model_failed` those that failed by their model.

    Times are in seconds, and None where there is none to measure; `p50` is the median, `p95` what 95 of 100 stay below, both as
    PostgreSQL's `percentile_cont`: between two values, the line between them. `cost` is in US dollars, None where nothing had
    a price.
    """

    runs: int = 0
    ended: int = 0
    failed: int = 0
    model_failed: int = 0
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    p50_first_token: float | None = None
    p95_first_token: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    tool_calls: int = 0
    tool_errors: int = 0
    up: int = 0
    down: int = 0

    @property
    def failure_rate(self) -> float | None:
        return share(self.failed, self.ended)

    @property
    def model_failure_rate(self) -> float | None:
        return share(self.model_failed, self.ended)

    @property
    def tool_error_rate(self) -> float | None:
        return share(self.tool_errors, self.tool_calls)

    @property
    def up_share(self) -> float | None:
        return share(self.up, self.up + self.down)


def share(part: int, whole: int) -> float | None:
    """A part of a whole in percent; None of nothing."""
    return 100 * part / whole if whole else None
