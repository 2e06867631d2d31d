"""The whole bench: which loads are put on which places, in which order, and what the table says of them."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import places
from tests.bench.assistant import Assistant
from tests.bench.bare import BareServer
from tests.bench.clients import Clients
from tests.bench.loads import Cost, IdleSockets, Load, put, put_beside_agent, think
from tests.bench.model import BenchModel, environment
from tests.bench.places import Place
from tests.bench.report import Found, Scale, table_of
from tests.bench.table import Table
from tests.bench.thinkers import Thinkers
from tests.parts.installation import prepare
from tests.parts.site_process import Site
from tests.parts.stack import Stack


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """The processes that make the load, or think beside it."""

    clients: Assistant
    thinkers: list[Assistant]


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
            for place in sites:
                self.found.live.setdefault(place.name, []).append(self._put(load, place))
            for place in sites:
                thinkers = self._hands.thinkers[: place.drivers()]
                sending, thinking = put_beside_agent(load, bare, self._hands.clients, thinkers)
                self.found.checked.setdefault(bare.name, []).append(sending)
                self.found.bare.setdefault(place.name, []).append(sending)
                self.found.agent.setdefault(place.name, []).append(thinking)
            self.found.silent.append(put(load, silent, self._hands.clients))
            self.found.client.append(think(load, self._hands.thinkers[:1], is_bare=True))
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

    def _put(self, load: Load, place: Place) -> Cost:
        cost = put(load, place, self._hands.clients)
        self.found.checked.setdefault(place.name, []).append(cost)
        return cost

    def _costs(self, number: int) -> str:
        said = {name: costs[number].ours for name, costs in self.found.live.items()}
        said |= {f"agent of {name}": costs[number].ours for name, costs in self.found.agent.items()}
        said |= {f"bare beside it of {name}": costs[number].ours for name, costs in self.found.bare.items()}
        said["model client"] = self.found.client[number].ours
        return ", ".join(f"{name} {cost:.0f}" for name, cost in said.items()) + " µs a token"


@contextlib.contextmanager
def hands() -> Iterator[tuple[Hands, dict[str, str]]]:
    """Clients, thinkers and a model server; with the environment that makes a site ask that."""
    with contextlib.ExitStack() as closing:
        model, clients, thinkers = Assistant(BenchModel), Assistant(Clients), [Assistant(Thinkers), Assistant(Thinkers)]
        for one in (model, clients, *thinkers):
            closing.callback(one.close)
        port = model.call("start")
        for one in thinkers:
            one.call("start", port=port)
        yield Hands(clients=clients, thinkers=thinkers), environment(port)


def run(scale: Scale) -> tuple[Found, Table]:
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
        return bench.found, table_of(bench.found, scale)
