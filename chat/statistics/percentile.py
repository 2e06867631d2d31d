"""Percentiles in SQL. PostgreSQL has them; SQLite is given an aggregate function that computes the same."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

NAME = "glassbox_percentile"


def percentile(column: str, fraction: float, *, vendor: str) -> str:
    """The SQL of it, over the values of a column that are not null; null where there are none. On SQLite `prepare` comes first."""
    if vendor == "postgresql":
        return f"PERCENTILE_CONT({fraction}) WITHIN GROUP (ORDER BY {column})"
    return f"{NAME}({column}, {fraction})"


def prepare(connection: BaseDatabaseWrapper) -> None:
    """Give SQLite the function. It belongs to the connection; PostgreSQL needs nothing."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.connection.create_aggregate(NAME, 2, _Percentile)


class _Percentile:
    """As SQLite calls it: a step for each row, then the end."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._fraction = 0.0

    def step(self, value: Any, fraction: float) -> None:
        self._fraction = fraction
        if value is not None:
            self._values.append(value)

    def finalize(self) -> float | None:
        return continuous(self._values, self._fraction)


def continuous(values: list[float], fraction: float) -> float | None:
    """The value at this fraction of the sorted values; between two of them, the line between them. None of none."""
    if not values:
        return None
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
