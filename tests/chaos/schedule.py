"""Which faults come, in which order: the same seed, the same schedule."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from tests.chaos import client_faults, clock_faults, ground_faults, lossy, worker_faults
from tests.chaos.outcome import Fault

Lane = Literal["workers", "frozen workers", "operators", "ground", "clients"]
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault; of each lane, one fault is under way at a time. `weight` is how often it comes."""

    name: str
    lane: Lane
    weight: float
    fault: Fault


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to come; `chance` is its own, so that what one does changes nothing for the next."""

    number: int
    kind: Kind
    chance: random.Random


def kinds(*, frozen_seconds: float) -> list[Kind]:
    """All kinds that this machine can bring about; Redis is frozen for so long."""
    found = [
        *(
            Kind(f"worker killed {name}", "workers", 5, worker_faults.killed(moment))
            for name, moment in worker_faults.MOMENTS.items()
        ),
        *(
            Kind(f"worker stopped and continued {name}", "workers", 3, worker_faults.stopped(moment))
            for name, moment in worker_faults.MOMENTS.items()
        ),
        *(
            Kind(f"run taken over by an operator {name}", "operators", 2, worker_faults.taken_over(moment))
            for name, moment in worker_faults.MOMENTS.items()
            # What ends a run holds its session until it has: nobody comes in between.
            if moment is not worker_faults.before_the_ending
        ),
        Kind("web server killed", "ground", 6, ground_faults.web_killed),
        Kind("web server stopped and continued", "ground", 5, ground_faults.web_stopped),
        Kind("Redis killed", "ground", 4, ground_faults.redis_killed),
        Kind("Redis emptied", "ground", 3, ground_faults.redis_emptied),
        Kind("Redis frozen", "ground", 1, ground_faults.redis_frozen(frozen_seconds)),
        Kind("Redis's subscribers killed every 0.2 s", "ground", 3, ground_faults.pubsub_killed),
        Kind("PostgreSQL killed", "ground", 4, ground_faults.postgres_killed),
        Kind("PostgreSQL restarted", "ground", 4, ground_faults.postgres_restarted),
        Kind("PostgreSQL frozen", "ground", 3, ground_faults.postgres_frozen),
        Kind("connection cut after COMMIT", "ground", 5, ground_faults.commit_cut(delivered=True)),
        Kind("connection cut before COMMIT", "ground", 3, ground_faults.commit_cut(delivered=False)),
        Kind("rolling restart of everything", "ground", 0.7, ground_faults.rolling_restart),
        Kind("slow reader", "clients", 4, client_faults.slow_reader),
        Kind("network lost", "clients", 5, client_faults.offline),
        Kind("message doubled on all servers", "clients", 6, client_faults.doubled_message),
        Kind("stop races the end", "clients", 8, client_faults.late_stop),
    ]
    if clock_faults.available():
        found += [
            Kind("worker's clock a day ahead", "workers", 1, clock_faults.worker_clock("+1d")),
            Kind("worker's clock a day behind", "workers", 1, clock_faults.worker_clock("-1d")),
            Kind("web server's clock a day ahead", "ground", 1, clock_faults.web_clock("+1d")),
            Kind("web server's clock a day behind", "ground", 1, clock_faults.web_clock("-1d")),
        ]
    if lossy.available():
        found.append(Kind("20 % of packets lost", "clients", 5, client_faults.lost_packets))
    return found


def left_out() -> list[str]:
    """What this machine cannot bring about, and what it lacks."""
    reasons = []
    if not clock_faults.available():
        reasons.append("clocks a day off: there is no libfaketime")
    if not lossy.available():
        reasons.append("lost packets: this system has no socket filters")
    return reasons


def schedule(seed: int, count: int, found: list[Kind]) -> list[Planned]:
    """So many faults: each kind once, as long as there is room, and then by weight, in an order of the seed's."""
    chance = random.Random(seed)
    first = chance.sample(found, k=min(count, len(found)))
    rest = chance.choices(found, weights=[kind.weight for kind in found], k=count - len(first))
    return [
        Planned(number, kind, random.Random(f"{seed}-{number}")) for number, kind in enumerate([*first, *rest], start=1)
    ]
