"""Where a load goes: the whole stack, the one process, the bare consumer. Each knows its processes and its doors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.bench.bare import BareServer
from tests.bench.clients import Address
from tests.parts.installation import Installation
from tests.parts.site_process import Site
from tests.parts.stack import Stack

# What is measured is the way of a token, and not the limits of a user.
ENVIRONMENT = {"SOCKETS_PER_USER": "0", "MESSAGES_PER_MINUTE": "0", "ACTIVE_RUNS_PER_USER": "0"}

_SIGN_IN = """
import json
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
with transaction.atomic():
    User.objects.bulk_create(User(username=f"bench-{{number}}", password="!") for number in range({count}))
    keys = []
    for user in User.objects.filter(username__startswith="bench-"):
        login = SessionStore()
        login.update({{
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }})
        login.create()
        keys.append(login.session_key)
print("logins=" + json.dumps(keys))
"""


def sign_in(installation: Installation, count: int) -> list[str]:
    """So many new users, each signed in once: their `Cookie` headers."""
    said = installation.manage("shell", "-c", _SIGN_IN.format(count=count))
    keys: list[str] = json.loads(said.partition("logins=")[2].splitlines()[0])
    return [f"sessionid={key}" for key in keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """`ours` are the processes that count: `webs` of them hold the sockets, and so many as `drivers` says drive runs. `beside` are
    parents of other people's programs, shown for themselves. `addresses` gives places to connect to, each somebody's who has no
    other, in a new session.
    """

    name: str
    ours: Callable[[], list[int]]
    webs: Callable[[], list[int]]
    drivers: Callable[[], int]
    beside: dict[str, int] = field(default_factory=dict)
    addresses: Callable[[int], list[Address]]
    is_bare: bool = False


def of_stack(stack: Stack, cookies: list[str]) -> Place:
    return Place(
        name="stack",
        ours=lambda: [process.pid for process in stack.processes],
        webs=lambda: [web.pid for web in stack.webs],
        drivers=lambda: len(stack.workers),
        beside={"PostgreSQL": stack.postgres.pid, "Redis": stack.redis.pid, "nginx": stack.proxy.pid},
        addresses=_addresses(stack, cookies),
    )


def of_site(site: Site, cookies: list[str]) -> Place:
    return Place(
        name="one process",
        ours=lambda: [server.pid for server in site.servers],
        webs=lambda: [server.pid for server in site.servers],
        drivers=lambda: len(site.servers),
        addresses=_addresses(site, cookies),
    )


def of_bare(bare: BareServer, path: str = "") -> Place:
    return Place(
        name=f"bare/{path}" if path else "bare",
        ours=lambda: [bare.pid],
        webs=lambda: [bare.pid],
        drivers=lambda: 0,
        addresses=lambda count: [Address(f"{bare.origin}/{path}")] * count,
        is_bare=True,
    )


def _addresses(installation: Installation, cookies: list[str]) -> Callable[[int], list[Address]]:
    numbers: Iterator[int] = itertools.count(1)

    def addresses(count: int) -> list[Address]:
        origin = installation.origin
        door = origin.replace("http", "ws", 1)
        return [
            Address(f"{door}/ws/chat/bench-{next(numbers)}", origin=origin, cookie=cookies[number % len(cookies)])
            for number in range(count)
        ]

    return addresses
