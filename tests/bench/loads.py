"""Put a load on a place and say what it cost: the measurements, from which the table is made."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.bench.assistant import Assistant
from tests.bench.meter import Meter, resident_bytes
from tests.bench.places import Place
from tests.bench.tokens import Reading, percentile

T = TypeVar("T")

# The name under which our own processes are metered.
OURS = "ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many tabs ask at once, `batches` times, for answers of `count` tokens at `rate` tokens a second (0: at will), their
    beginnings spread over so many seconds.
    """

    tabs: int
    count: int
    rate: float
    spread: float = 0.0
    batches: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one load. `per_token` is the processor time of each group in microseconds, over the windows in which all answers of a
    batch were streaming; `rate` the tokens a second in them; `delays` are theirs in seconds, `all_delays` those of all tokens.
    """

    per_token: dict[str, float]
    rate: float
    delays: list[float]
    all_delays: list[float]
    tokens: int
    lost: int
    doubled: int
    held_back: int

    @property
    def ours(self) -> float:
        return self.per_token[OURS]

    def delay(self, share: float) -> float:
        """The delay, in milliseconds, that so large a share of the tokens kept to."""
        return 1000 * percentile(self.delays, share)

    def delay_of_all(self, share: float) -> float:
        """The same of all tokens, with those that came while answers began and ended."""
        return 1000 * percentile(self.all_delays, share)


_names = itertools.count(1)


def put(load: Load, place: Place, clients: Assistant) -> Cost:
    """Put the load on a place."""
    names = []
    for _ in range(load.batches):
        names.append(f"load-{next(_names)}")
        clients.call("open", name=names[-1], addresses=place.addresses(load.tabs), bare=place.is_bare)
    with Meter({OURS: place.ours()}, place.beside) as meter:
        asked = {"count": load.count, "rate": load.rate, "spread": load.spread}
        batches: list[list[Reading]] = [clients.call("ask", name=name, **asked) for name in names]
    for name in names:
        clients.call("close", name=name)
    return _cost(batches, meter)


def think(load: Load, thinkers: Sequence[Assistant], *, is_bare: bool) -> Cost:
    """The same answers, thought by an agent, or given by the model's client alone, and shown to nobody; shared by so many
    processes, as the fewer runs one has, the dearer each is.
    """
    return _think_beside(load, thinkers, lambda: None, is_bare=is_bare)[0]


def put_beside_agent(load: Load, place: Place, clients: Assistant, thinkers: Sequence[Assistant]) -> tuple[Cost, Cost]:
    """The load on a place that thinks nothing, and at the same time the agent, shown to nobody: what each of the two costs.

    Beside each other, as they are within a site: alone on the machine, both would find its caches free and be cheaper.
    """
    thinking, sending = _think_beside(load, thinkers, lambda: put(load, place, clients), is_bare=False)
    return sending, thinking


def _think_beside(
    load: Load, thinkers: Sequence[Assistant], beside: Callable[[], T], *, is_bare: bool
) -> tuple[Cost, T]:
    runs = load.tabs // len(thinkers)
    with Meter({OURS: [one.pid for one in thinkers]}) as meter:
        for one in thinkers:
            one.begin("think", runs=runs, count=load.count, rate=load.rate, spread=load.spread, is_bare=is_bare)
        done = beside()
        readings = [reading for one in thinkers for reading in one.result()]
    return _cost([readings], meter), done


class Overloaded(Exception):
    """The first answers had ended before the last had begun: the machine has no room for this load."""


def _cost(batches: Sequence[Sequence[Reading]], meter: Meter) -> Cost:
    spent: dict[str, float] = {}
    delays: list[float] = []
    tokens = 0
    seconds = 0.0
    for readings in batches:
        # While nearly all of them stream: what it takes to begin and to end an answer is not a token's.
        since = percentile([min(reading.arrivals) for reading in readings], 0.9)
        until = percentile([max(reading.arrivals) for reading in readings], 0.1)
        if until <= since:
            raise Overloaded(f"{until - since:.1f} s passed from the last beginning of an answer to the first end")
        for name, used in meter.spent(since, until).items():
            spent[name] = spent.get(name, 0.0) + used
        tokens += sum(since < arrival <= until for reading in readings for arrival in reading.arrivals)
        delays += [
            delay
            for reading in readings
            for arrival, delay in zip(reading.arrivals, reading.delays, strict=bool(reading.delays))
            if since < arrival <= until
        ]
        seconds += until - since
    every = [reading for readings in batches for reading in readings]
    return Cost(
        per_token={name: 1e6 * used / tokens for name, used in spent.items()},
        rate=tokens / seconds,
        delays=delays,
        all_delays=[delay for reading in every for delay in reading.delays],
        tokens=sum(len(reading.arrivals) for reading in every),
        lost=sum(reading.lost for reading in every),
        doubled=sum(reading.doubled for reading in every),
        held_back=sum(reading.held_back for reading in every),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """Sockets that are open and silent: what each added to the memory of the web processes, in KiB, and what part of a core
    all of them need.
    """

    memory: float
    upkeep: float


class IdleSockets:
    """Opens them; they stay until `close`."""

    def __init__(self, count: int, place: Place, clients: Assistant, *, watch_seconds: float) -> None:
        self._clients = clients
        self._name = f"idle-{next(_names)}"
        before = resident_bytes(place.webs())
        clients.call("open", name=self._name, addresses=place.addresses(count), bare=place.is_bare)
        # What they do when they are new is over by half of the time.
        time.sleep(watch_seconds / 2)
        memory = (resident_bytes(place.webs()) - before) / 1024 / count
        with Meter({OURS: place.ours()}) as meter:
            began = time.monotonic()
            time.sleep(watch_seconds / 2)
            ended = time.monotonic()
        upkeep = meter.spent(began, ended)[OURS] / max(ended - began, 1e-9)
        self.found = Idle(memory=memory, upkeep=upkeep)

    def close(self) -> None:
        codes = self._clients.call("close", name=self._name)
        assert not codes, f"sockets were closed by the server: {codes[:10]}"
