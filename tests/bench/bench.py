"""The whole bench: which loads are put on which places, in which order, and what the table says of them."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench import places
from tests.bench.assistant import Assistant
from tests.bench.bare import BareServer
from tests.bench.clients import Clients
from tests.bench.loads import Cost, Idle, IdleSockets, Load, put, think
from tests.bench.model import BenchModel, environment
from tests.bench.places import Place
from tests.bench.table import Table, at_most, none
from tests.bench.thinkers import Thinkers
from tests.parts.installation import prepare
from tests.parts.site_process import Site
from tests.parts.stack import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything."""

    rounds: int = 3
    warm_up: Load = Load(tabs=8, count=100, rate=50)
    live: Load = Load(tabs=50, count=500, rate=50, spread=2.0)
    short: Load = Load(tabs=2, count=1_000, rate=1_000, batches=6)
    long: Load = Load(tabs=2, count=20_000, rate=1_000)
    flood: Load = Load(tabs=40, count=1_500, rate=0)
    idle: int = 1_000
    watch_seconds: float = 5.0


def say(text: str) -> None:
    print(text, flush=True)


@dataclass(slots=True)
class Found:
    """Everything that was measured, by place; what is measured in rounds, in their order."""

    live: dict[str, list[Cost]] = field(default_factory=dict)
    agent: list[Cost] = field(default_factory=list)
    client: list[Cost] = field(default_factory=list)
    idle: dict[str, Idle] = field(default_factory=dict)
    lengths: dict[tuple[str, str, str], Cost] = field(default_factory=dict)
    floods: dict[tuple[str, int], Cost] = field(default_factory=dict)
    checked: dict[str, list[Cost]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """The processes that make the load, or think beside it."""

    clients: Assistant
    thinkers: Assistant


class Bench:
    def __init__(self, scale: Scale, hands: Hands) -> None:
        self._scale = scale
        self._hands = hands
        self.found = Found()

    def warm_up(self, place: Place) -> None:
        """What is done once, such as importing LangChain, is nobody's cost."""
        self._put(self._scale.warm_up, place)

    def rounds(self, sites: Sequence[Place], bare: Place, silent: Place) -> None:
        """The same load everywhere by turns: ratios are of what was measured within the same half minute."""
        load = self._scale.live
        for number in range(self._scale.rounds):
            for place in (*sites, bare, silent):
                self.found.live.setdefault(place.name, []).append(self._put(load, place, check=place is not silent))
            self.found.agent.append(think(load, self._hands.thinkers, is_bare=False))
            self.found.client.append(think(load, self._hands.thinkers, is_bare=True))
            say(f"  round {number + 1}: {self._costs(number)}")

    def lengths(self, place: Place) -> None:
        """Short and long answers, with one idle socket and with many beside; many first, for their memory."""
        for beside, count in (("many", self._scale.idle), ("one", 1)):
            idle = IdleSockets(count, place, self._hands.clients, watch_seconds=self._scale.watch_seconds)
            if beside == "many":
                self.found.idle[place.name] = idle.found
                say(f"  {place.name}: {idle.found.memory:.1f} KiB for each of {count:,} idle sockets")
            if not place.is_bare:
                for length, load in (("short", self._scale.short), ("long", self._scale.long)):
                    cost = self._put(load, place)
                    self.found.lengths[place.name, length, beside] = cost
                    say(
                        f"  {place.name}: {length} answers, {beside} idle: {cost.ours:.0f} µs a token, {cost.rate:.0f}/s"
                    )
            idle.close()

    def flood(self, place: Place, servers: int) -> None:
        """As many tokens as it can."""
        self.found.floods[place.name, servers] = cost = self._put(self._scale.flood, place)
        say(f"  {place.name}: {cost.rate:,.0f} tokens a second with {servers} of each")

    def _put(self, load: Load, place: Place, *, check: bool = True) -> Cost:
        cost = put(load, place, self._hands.clients)
        if check:
            self.found.checked.setdefault(place.name, []).append(cost)
        return cost

    def _costs(self, number: int) -> str:
        said = {name: costs[number].ours for name, costs in self.found.live.items()}
        said |= {"agent": self.found.agent[number].ours, "model client": self.found.client[number].ours}
        return ", ".join(f"{name} {cost:.0f}" for name, cost in said.items()) + " µs a token"


def table_of(found: Found, scale: Scale) -> Table:
    """What was found, as the table shows it."""
    bare, silent = found.live.get("bare", []), found.live.get("bare/silent", [])
    sites = [name for name in found.checked if not name.startswith("bare")]
    table = Table(places=sites)

    def of_sites(value: Callable[[str], float]) -> dict[str, float]:
        return {name: value(name) for name in sites}

    def middle(values: Iterator[float]) -> float:
        return median(values)

    if bare:

        def cost(name: str) -> float:
            return middle(one.ours for one in found.live[name])

        agent = middle(one.ours for one in found.agent)
        table.add("processor time a token, our processes", of_sites(cost), "µs", digits=0)
        table.add("  the agent alone", of_sites(lambda _: agent), "µs")
        table.add("    its model client alone", of_sites(lambda _: middle(one.ours for one in found.client)), "µs")
        table.add("  without the agent", of_sites(lambda name: middle(_without_agent(found, name))), "µs")
        table.add("  bare consumer", of_sites(lambda _: middle(one.ours for one in bare)), "µs")
        table.add("    its pacing alone", of_sites(lambda _: middle(one.ours for one in silent)), "µs")
        table.add(
            "without the agent, of the bare consumer's",
            of_sites(
                lambda name: middle(
                    ours / one.ours for ours, one in zip(_without_agent(found, name), bare, strict=True)
                )
            ),
            "times",
            digits=2,
            target=at_most(2),
        )
        table.add(
            "with the agent, of the bare consumer's",
            of_sites(
                lambda name: middle(ours.ours / one.ours for ours, one in zip(found.live[name], bare, strict=True))
            ),
            "times",
            digits=2,
        )
        for part in dict.fromkeys(
            part for name in sites for one in found.live[name] for part in one.per_token if part != "ours"
        ):
            table.add(
                f"  beside: {part}",
                {
                    name: middle(one.per_token[part] for one in found.live[name])
                    for name in sites
                    if part in found.live[name][0].per_token
                },
                "µs",
            )
        table.add(
            "from token to socket, p50", of_sites(lambda name: middle(one.delay(0.5) for one in found.live[name])), "ms"
        )
        table.add(
            "from token to socket, p99",
            of_sites(lambda name: middle(one.delay(0.99) for one in found.live[name])),
            "ms",
            target=at_most(150),
        )
        table.add("  bare consumer, p99", of_sites(lambda _: middle(one.delay(0.99) for one in bare)), "ms")
    table.add("tokens checked", of_sites(lambda name: sum(one.tokens for one in found.checked[name])))
    table.add("  lost", of_sites(lambda name: sum(one.lost for one in found.checked[name])), target=none())
    table.add("  doubled", of_sites(lambda name: sum(one.doubled for one in found.checked[name])), target=none())
    if found.idle:
        table.add(
            "memory of an idle connection",
            of_sites(lambda name: found.idle[name].memory),
            "KiB",
            digits=1,
            target=at_most(64),
        )
        table.add("  bare consumer", of_sites(lambda _: found.idle["bare"].memory), "KiB", digits=1)
        table.add(
            f"  upkeep of {scale.idle:,} of them",
            of_sites(lambda name: 100 * found.idle[name].upkeep),
            "% of a core",
            digits=1,
        )
        for length, load in (("short", scale.short), ("long", scale.long)):
            for beside, count in (("one", 1), ("many", scale.idle)):
                table.add(
                    f"answers of {load.count:,} tokens, {count:,} idle",
                    of_sites(lambda name, key=(length, beside): found.lengths[name, *key].ours),
                    "µs a token",
                )

        def ratio(name: str, above: tuple[str, str], below: tuple[str, str]) -> float:
            return found.lengths[name, *above].ours / found.lengths[name, *below].ours

        flat = at_most(1.2)
        table.add(
            "  long to short",
            of_sites(lambda name: ratio(name, ("long", "one"), ("short", "one"))),
            "times",
            digits=2,
            target=flat,
        )
        table.add(
            "  many idle to one, short",
            of_sites(lambda name: ratio(name, ("short", "many"), ("short", "one"))),
            "times",
            digits=2,
            target=flat,
        )
        table.add(
            "  many idle to one, long",
            of_sites(lambda name: ratio(name, ("long", "many"), ("long", "one"))),
            "times",
            digits=2,
            target=flat,
        )
    for servers in sorted({servers for _, servers in found.floods}):
        table.add(
            f"tokens a second at most, with {servers}",
            {name: found.floods[name, servers].rate for name in sites if (name, servers) in found.floods},
        )
    return table


def _without_agent(found: Found, name: str) -> list[float]:
    return [ours.ours - agent.ours for ours, agent in zip(found.live[name], found.agent, strict=True)]


@contextlib.contextmanager
def hands() -> Iterator[tuple[Hands, dict[str, str]]]:
    """Clients, thinkers and a model server; with the environment that makes a site ask that."""
    with contextlib.ExitStack() as closing:
        model, clients, thinkers = Assistant(BenchModel), Assistant(Clients), Assistant(Thinkers)
        for one in (model, clients, thinkers):
            closing.callback(one.close)
        port = model.call("start")
        thinkers.call("start", port=port)
        yield Hands(clients=clients, thinkers=thinkers), environment(port)


def run(scale: Scale) -> Table:
    """Everything, on the stack and on the one process."""
    began = time.monotonic()
    with contextlib.ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="glassbox-bench-")))
        say("Starting the stack, the one process and the bare consumer …")
        ready, env = closing.enter_context(hands())
        env = {**env, **places.ENVIRONMENT}
        stack = Stack(folder / "stack", env)
        closing.callback(stack.close)
        stack.postgres.start()
        prepare(stack.env)
        stack.start(webs=2, workers=2)
        for name in ("template", "bare"):
            (folder / name).mkdir()
        prepare({"DATA_DIR": str(folder / "template")})
        site = Site(folder / "template", env)
        closing.callback(site.close)
        site.add_server()
        bare_server = BareServer(folder / "bare")
        closing.callback(bare_server.close)
        people = scale.idle + max(load.tabs for load in (scale.live, scale.flood))
        sites = [
            places.of_stack(stack, places.sign_in(stack, people)),
            places.of_site(site, places.sign_in(site, people)),
        ]
        bare, silent = places.of_bare(bare_server), places.of_bare(bare_server, "silent")
        bench = Bench(scale, ready)
        for place in (*sites, bare):
            bench.warm_up(place)
        say(f"Ready after {time.monotonic() - began:.0f} s. Idle sockets, short and long answers:")
        for place in (*sites, bare):
            bench.lengths(place)
        say(
            f"{time.monotonic() - began:.0f} s. {scale.live.tabs} answers of {scale.live.rate:g} tokens a second, by turns:"
        )
        bench.rounds(sites, bare, silent)
        say(f"{time.monotonic() - began:.0f} s. As fast as it goes:")
        bench.flood(sites[1], 1)
        bench.flood(sites[0], 2)
        stack.remove(stack.webs[-1])
        stack.remove(stack.workers[-1])
        bench.flood(sites[0], 1)
        say(f"Done after {time.monotonic() - began:.0f} s.\n")
        return table_of(bench.found, scale)
