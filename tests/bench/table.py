"""The table that a bench ends with: what was measured, in which place, and whether it is as it should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is to be reached, in words, and whether a value does."""

    words: str
    is_met: Callable[[float], bool]


def at_most(bound: float, unit: str = "") -> Target:
    return Target(words=f"at most {bound:g}{unit}", is_met=lambda value: value <= bound)


def none() -> Target:
    return Target(words="0", is_met=lambda value: value == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was measured: its value in each place, and its target if it has one."""

    what: str
    values: Mapping[str, float]
    unit: str = ""
    digits: int = 0
    target: Target | None = None

    def verdict(self, place: str) -> str:
        if self.target is None or place not in self.values:
            return ""
        return "ok" if self.target.is_met(self.values[place]) else "missed"


@dataclass(slots=True)
class Table:
    places: list[str]
    rows: list[Row] = field(default_factory=list)

    def add(
        self, what: str, values: Mapping[str, float], unit: str = "", *, digits: int = 0, target: Target | None = None
    ) -> None:
        self.rows.append(Row(what=what, values=values, unit=unit, digits=digits, target=target))

    @property
    def missed(self) -> int:
        return sum(row.verdict(place) == "missed" for row in self.rows for place in self.places)

    def text(self) -> str:
        lines = [["", *(cell for place in self.places for cell in (place, "")), "to reach"]]
        for row in self.rows:
            cells = [row.what]
            for place in self.places:
                value = row.values.get(place)
                cells += ["" if value is None else f"{value:,.{row.digits}f} {row.unit}".strip(), row.verdict(place)]
            lines.append([*cells, row.target.words if row.target else ""])
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        padded = [
            [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True)),
                line[-1],
            ]
            for line in lines
        ]
        return "\n".join("  ".join(line).rstrip() for line in padded)
