"""The plots of the dashboard, each of them also a table: what stands in it is written once, and drawn from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from chat.statistics.measures import Measures


class Drawn(StrEnum):
    """How the series of a plot lie to each other: the second is a part of the first, both add up, or both are lines."""

    PART = "part"
    SUM = "sum"
    LINES = "lines"


class Unit(StrEnum):
    """What a value is of, as it is written behind or before it."""

    COUNT = ""
    PERCENT = "%"
    SECONDS = "s"
    DOLLARS = "$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`runs` are the filters of the list of the runs behind the number, None where it has none; what is not `plotted` is in the
    table only.
    """

    label: str
    value: Callable[[Measures], float | None]
    unit: Unit = Unit.COUNT
    runs: dict[str, str] | None = None
    plotted: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    name: str
    title: str
    drawn: Drawn
    columns: tuple[Column, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """`value` for the plot, empty where there is nothing to measure; `text` for people."""

    value: str
    text: str
    address: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """`label` says what it is about; an `address` leads to the dashboard of it alone."""

    label: str
    cells: list[Cell]
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """A panel with its rows; `over` is what they are, "day" or "agent"."""

    panel: Panel
    over: str
    rows: list[Row] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"{self.panel.name}-{'time' if self.over in ('hour', 'day') else 'group'}"

    @property
    def is_empty(self) -> bool:
        return not any(cell.value not in ("", "0") for row in self.rows for cell in row.cells)


PANELS = (
    Panel(
        name="runs",
        title="Runs and failures",
        drawn=Drawn.PART,
        columns=(
            Column(label="Runs", value=lambda of: of.runs, runs={}),
            Column(label="Failed", value=lambda of: of.failed, runs={"state": "failed"}),
        ),
    ),
    Panel(
        name="failure-rate",
        title="Failure rate",
        drawn=Drawn.LINES,
        note="Of the runs that have ended. By the model: it could not be reached, or asked for what cannot be.",
        columns=(
            Column(label="All failures", value=lambda of: of.failure_rate, unit=Unit.PERCENT),
            Column(label="By the model", value=lambda of: of.model_failure_rate, unit=Unit.PERCENT),
        ),
    ),
    Panel(
        name="duration",
        title="Duration",
        drawn=Drawn.LINES,
        note="From a run's start to its end, without the wait in the queue.",
        columns=(
            Column(label="Median", value=lambda of: of.p50_seconds, unit=Unit.SECONDS),
            Column(label="p95", value=lambda of: of.p95_seconds, unit=Unit.SECONDS),
        ),
    ),
    Panel(
        name="first-token",
        title="Time to first token",
        drawn=Drawn.LINES,
        columns=(
            Column(label="Median", value=lambda of: of.p50_first_token, unit=Unit.SECONDS),
            Column(label="p95", value=lambda of: of.p95_first_token, unit=Unit.SECONDS),
        ),
    ),
    Panel(
        name="tokens",
        title="Tokens",
        drawn=Drawn.SUM,
        columns=(
            Column(label="Input", value=lambda of: of.input_tokens),
            Column(label="Output", value=lambda of: of.output_tokens),
        ),
    ),
    Panel(
        name="cost",
        title="Cost",
        drawn=Drawn.SUM,
        note="By the prices that the site knows of its models; what had none costs nothing here.",
        columns=(Column(label="US dollars", value=lambda of: of.cost, unit=Unit.DOLLARS),),
    ),
    Panel(
        name="tool-calls",
        title="Tool calls and errors",
        drawn=Drawn.PART,
        columns=(
            Column(label="Calls", value=lambda of: of.tool_calls),
            Column(label="Errors", value=lambda of: of.tool_errors, runs={"failed_tools": "some"}),
        ),
    ),
    Panel(
        name="tool-error-rate",
        title="Tool error rate",
        drawn=Drawn.LINES,
        columns=(Column(label="Of all calls", value=lambda of: of.tool_error_rate, unit=Unit.PERCENT),),
    ),
    Panel(
        name="feedback",
        title="Feedback",
        drawn=Drawn.SUM,
        columns=(
            Column(label="Thumbs up", value=lambda of: of.up, runs={"feedback": "up"}),
            Column(label="Thumbs down", value=lambda of: of.down, runs={"feedback": "down"}),
            Column(label="Share of thumbs up", value=lambda of: of.up_share, unit=Unit.PERCENT, plotted=False),
        ),
    ),
)

Address = Callable[[dict[str, str]], str | None]


def row(panel: Panel, label: str, measures: Measures, runs: Address, address: str | None = None) -> Row:
    """The row of a plot; `runs` gives the address of the list of runs for more filters."""
    return Row(label, [cell(column, measures, runs) for column in panel.columns], address)


def cell(column: Column, measures: Measures, runs: Address) -> Cell:
    value = column.value(measures)
    return Cell(
        "" if value is None else f"{value:.10g}",
        written(value, column.unit),
        runs(column.runs) if value and column.runs is not None else None,
    )


def written(value: float | None, unit: Unit) -> str:
    """A number as people read it."""
    if value is None:
        return "–"
    match unit:
        case Unit.COUNT:
            return f"{value:,.0f}"
        case Unit.PERCENT:
            return f"{value:.1f} %"
        case Unit.SECONDS:
            return f"{value:.2f} s" if value < 10 else f"{value:,.1f} s"
        case Unit.DOLLARS:
            return f"${value:,.2f}" if value >= 1 or not value else f"${value:.4f}"


def tiles(total: Measures, runs: Address) -> Sequence[tuple[str, Sequence[tuple[str, Cell]]]]:
    """All panels' numbers of the whole period: title, then label and value."""
    return [(panel.title, [(column.label, cell(column, total, runs)) for column in panel.columns]) for panel in PANELS]
