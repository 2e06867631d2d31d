"""What the table says of everything that was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.bench.loads import OURS, Cost, Idle, Load
from tests.bench.table import Table, at_most, none

# What still counts as flat: a fifth is what such measurements differ by on a machine that is used for other things, too.
FLAT = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything."""

    rounds: int
    warm_up: Load
    live: Load
    short: Load
    long: Load
    flood: Load
    idle: int
    watch_seconds: float


FULL = Scale(
    rounds=5,
    warm_up=Load(tabs=8, count=100, rate=50),
    live=Load(tabs=50, count=400, rate=50, spread=2.0),
    short=Load(tabs=2, count=1_000, rate=1_000, batches=6),
    long=Load(tabs=2, count=20_000, rate=1_000),
    flood=Load(tabs=40, count=1_500, rate=0),
    idle=1_000,
    watch_seconds=6.0,
)


@dataclass(slots=True)
class Found:
    """Everything that was measured, by place; what is measured in rounds, in their order. `bare` is the bare consumer beside
    the agent as each place has it.
    """

    live: dict[str, list[Cost]] = field(default_factory=dict)
    agent: dict[str, list[Cost]] = field(default_factory=dict)
    bare: dict[str, list[Cost]] = field(default_factory=dict)
    silent: list[Cost] = field(default_factory=list)
    client: list[Cost] = field(default_factory=list)
    idle: dict[str, Idle] = field(default_factory=dict)
    lengths: dict[tuple[str, str, str], Cost] = field(default_factory=dict)
    floods: dict[tuple[str, int], Cost] = field(default_factory=dict)
    checked: dict[str, list[Cost]] = field(default_factory=dict)

    @property
    def sites(self) -> list[str]:
        """The places that are the site, and not what it is compared with."""
        return [place for place in self.checked if not place.startswith(BARE)]


BARE = "bare"
LENGTHS = ("short", "long")
BESIDE = ("one", "many")


def table_of(found: Found, scale: Scale) -> Table:
    """The table of all that was measured; what was not has no row."""
    table = Table(places=found.sites)
    if found.agent:
        _add_cost(table, found)
        _add_delays(table, found)
    _add_counts(table, found)
    if found.idle:
        _add_idle(table, found, scale)
    if found.lengths:
        _add_lengths(table, found, scale)
    for servers in sorted({servers for _, servers in found.floods}):
        rates = {place: cost.rate for (place, count), cost in found.floods.items() if count == servers}
        table.add(f"tokens a second at most, with {servers} of each", rates)
    return table


def _add_cost(table: Table, found: Found) -> None:
    def everywhere(costs: Sequence[Cost]) -> dict[str, float]:
        return dict.fromkeys(found.sites, _middle(cost.ours for cost in costs))

    def of_live(value: Callable[[Cost], float]) -> dict[str, float]:
        return {place: _middle(map(value, found.live[place])) for place in found.sites}

    def of_rounds(value: Callable[[Cost, Cost, Cost], float]) -> dict[str, float]:
        """The median over the rounds of what is made of ours, the agent's and the bare consumer's."""
        return {
            place: _middle(
                value(*costs) for costs in zip(found.live[place], found.agent[place], found.bare[place], strict=True)
            )
            for place in found.sites
        }

    table.add("processor time a token", of_live(lambda cost: cost.ours), "µs")
    table.add("  the agent, in as many processes", of_rounds(lambda _, thinking, __: thinking.ours), "µs")
    table.add("    its model client alone", everywhere(found.client), "µs")
    table.add("  without the agent", of_rounds(lambda ours, thinking, _: ours.ours - thinking.ours), "µs")
    table.add("  the bare consumer, beside that agent", of_rounds(lambda _, __, sending: sending.ours), "µs")
    table.add("    its pacing alone", everywhere(found.silent), "µs")
    table.add(
        "without the agent, to the bare consumer",
        of_rounds(lambda ours, thinking, sending: (ours.ours - thinking.ours) / sending.ours),
        "times",
        digits=2,
        target=at_most(2),
    )
    table.add(
        "with the agent, to the bare consumer",
        of_rounds(lambda ours, _, sending: ours.ours / sending.ours),
        "times",
        digits=2,
    )
    parts = dict.fromkeys(part for place in found.sites for part in found.live[place][0].per_token if part != OURS)
    for part in parts:
        values = {
            place: _middle(cost.per_token[part] for cost in found.live[place])
            for place in found.sites
            if part in found.live[place][0].per_token
        }
        table.add(f"  beside: {part}", values, "µs")


def _add_delays(table: Table, found: Found) -> None:
    def of_live(value: Callable[[Cost], float]) -> dict[str, float]:
        return {place: _middle(map(value, found.live[place])) for place in found.sites}

    bare = {place: _middle(cost.delay(0.99) for cost in found.bare[place]) for place in found.sites}
    table.add("from token to socket, p50", of_live(lambda cost: cost.delay(0.5)), "ms")
    table.add("from token to socket, p99", of_live(lambda cost: cost.delay(0.99)), "ms", target=at_most(150, " ms"))
    table.add("  with the beginnings and ends of answers", of_live(lambda cost: cost.delay_of_all(0.99)), "ms")
    table.add("  the bare consumer, p99", bare, "ms")


def _add_counts(table: Table, found: Found) -> None:
    def count(value: Callable[[Cost], int]) -> dict[str, float]:
        return {place: sum(map(value, found.checked[place])) for place in found.sites}

    table.add("tokens checked", count(lambda cost: cost.tokens))
    table.add("  lost", count(lambda cost: cost.lost), target=none())
    table.add("  doubled", count(lambda cost: cost.doubled), target=none())
    table.add("  held back until their step was recorded", count(lambda cost: cost.held_back))


def _add_idle(table: Table, found: Found, scale: Scale) -> None:
    def of_idle(value: Callable[[Idle], float]) -> dict[str, float]:
        return {place: value(found.idle[place]) for place in found.sites}

    table.add(
        "memory of an idle connection", of_idle(lambda idle: idle.memory), "KiB", digits=1, target=at_most(64, " KiB")
    )
    if BARE in found.idle:
        table.add("  the bare consumer", dict.fromkeys(found.sites, found.idle[BARE].memory), "KiB", digits=1)
    table.add(f"upkeep of {scale.idle:,} of them", of_idle(lambda idle: 100 * idle.upkeep), "% of a core", digits=1)


def _add_lengths(table: Table, found: Found, scale: Scale) -> None:
    counts = {"short": f"{scale.short.count:,}", "long": f"{scale.long.count:,}", "one": "1", "many": f"{scale.idle:,}"}
    for length in LENGTHS:
        for beside in BESIDE:
            values = {place: found.lengths[place, length, beside].ours for place in found.sites}
            table.add(f"answers of {counts[length]} tokens, {counts[beside]} idle", values, "µs a token")

    def ratio(what: str, above: tuple[str, str], below: tuple[str, str]) -> None:
        values = {place: found.lengths[place, *above].ours / found.lengths[place, *below].ours for place in found.sites}
        table.add(f"  {what}", values, "times", digits=2, target=at_most(FLAT))

    for beside in BESIDE:
        ratio(
            f"{counts['long']} tokens to {counts['short']}, {counts[beside]} idle", ("long", beside), ("short", beside)
        )
    for length in LENGTHS:
        ratio(f"{counts['many']} idle to {counts['one']}, {counts[length]} tokens", (length, "many"), (length, "one"))


def _middle(values: Iterable[float]) -> float:
    return median(values)
