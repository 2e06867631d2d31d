"""Where Redis is, from `REDIS_URL`: one server, by TCP, TLS or a socket file, or whatever Sentinel calls the primary."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

FORMS = (
    "redis://[user:password@]host:port/db, rediss://… (TLS), unix://path?db=0 or, for Sentinel, "
    "redis+sentinel://[user:password@]host:port,host:port/PRIMARY[/db] or rediss+sentinel://…"
)
SENTINEL_PORT = 26379
# What may stand behind the `?`. A misspelt option would otherwise be found out by the first connection, or by nobody.
_TLS = {
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_ciphers",
    "ssl_keyfile",
    "ssl_min_version",
    "ssl_password",
}
_FILES = {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"}
_SECONDS = {"socket_connect_timeout", "socket_timeout"}
_OTHERS = {"client_name", "db", "socket_keepalive"}
_SENTINEL = {"sentinel_password", "sentinel_username"}


def redis_hosts(url: str, *, seconds: float) -> list[dict[str, Any]]:
    """The `hosts` of `channels_redis` for a URL of one of the `FORMS`, options as redis-py takes them.

    `seconds` bounds a connection attempt and an answer, unless the URL says otherwise. Nothing is tried a second time on a
    connection that failed: whoever uses it makes a new one, which asks Sentinel anew. Raises `ImproperlyConfigured`.
    """
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    is_tls, is_sentinel, options = _parsed(url)
    bounds: dict[str, Any] = {
        "socket_connect_timeout": seconds,
        "socket_timeout": seconds,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        # Announcements are plain messages; what the newer protocol has beyond it costs a handshake.
        "protocol": 2,
    }
    if not is_sentinel:
        if urlsplit(url).scheme == "unix":
            del bounds["socket_keepalive"]
        return [{**bounds, "address": url}]
    sentinels = _sentinels(url)
    primary = urlsplit(url).path.strip("/").split("/")[0]
    asking = {
        name: options.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in options
    }
    tls = {"ssl": True} if is_tls else {}
    return [
        {
            **bounds,
            **tls,
            **options,
            "sentinels": sentinels,
            "master_name": primary,
            "sentinel_kwargs": {
                **bounds,
                **tls,
                **asking,
                **{name: value for name, value in options.items() if name in _TLS},
                # One that hangs must leave time to ask the next.
                "socket_connect_timeout": seconds / 4,
                "socket_timeout": seconds / 4,
            },
        }
    ]


def _parsed(url: str) -> tuple[bool, bool, dict[str, Any]]:
    """Whether it is TLS, whether it is Sentinel, and what the URL says of each connection, checked."""
    from redis.asyncio.connection import parse_url

    parts = urlsplit(url)
    kind, _, sentinel = parts.scheme.partition("+")
    is_tls, is_sentinel = kind == "rediss", sentinel == "sentinel"
    if kind not in ("redis", "rediss", "unix") or (sentinel and (not is_sentinel or kind == "unix")):
        raise ImproperlyConfigured(f"REDIS_URL must be of the form {FORMS}.")
    plain = url
    if is_sentinel:
        path = parts.path.strip("/").split("/")
        if not path[0] or len(path) > 2:
            raise ImproperlyConfigured(
                "REDIS_URL must name the primary: redis+sentinel://host:port,host:port/PRIMARY[/db]."
            )
        user, at, _ = parts.netloc.rpartition("@")
        plain = f"{kind}://{user}{at}sentinel/{''.join(path[1:])}?{parts.query}"
    database = urlsplit(plain).path.strip("/")
    if kind != "unix" and database and not database.isdecimal():
        raise ImproperlyConfigured(f"REDIS_URL names the database {database!r}; it must be a number.")
    try:
        options: dict[str, Any] = dict(parse_url(plain))
    except ValueError as error:
        # Quoted is only what redis-py says of an option: where a password holds a "/" as it is, it stands for the port.
        why = str(error) if "for '" in str(error) else "its port is no number, or a password is not percent-encoded."
        raise ImproperlyConfigured(f"REDIS_URL cannot be read: {why}") from None
    if kind == "unix" and not options.get("path"):
        raise ImproperlyConfigured("REDIS_URL names no socket file: unix:///run/redis.sock?db=0.")
    if kind != "unix" and not options.get("host"):
        raise ImproperlyConfigured("REDIS_URL names no host.")
    credentials: dict[str, Any] = {name: options[name] for name in ("username", "password") if name in options}
    for name in ("connection_class", "host", "path", "port", "username", "password"):
        options.pop(name, None)
    _check(options, is_tls=is_tls, is_sentinel=is_sentinel)
    return is_tls, is_sentinel, {**credentials, **options}


def _check(options: dict[str, Any], *, is_tls: bool, is_sentinel: bool) -> None:
    known = _SECONDS | _OTHERS | _TLS | (_SENTINEL if is_sentinel else set())
    for name, value in options.items():
        if name not in known:
            raise ImproperlyConfigured(f"REDIS_URL has {name!r}, which is none of {', '.join(sorted(known))}.")
        if name in _TLS and not is_tls:
            raise ImproperlyConfigured(f"REDIS_URL has {name!r}, but does not ask for TLS: write rediss.")
        if name in _FILES and not Path(value).exists():
            raise ImproperlyConfigured(f"REDIS_URL: there is no {value} for {name}.")
        if name in _SECONDS and not (math.isfinite(value) and value > 0):
            raise ImproperlyConfigured(f"REDIS_URL: {name} must be a number of seconds above 0.")
    if options.get("ssl_cert_reqs", "required") not in ("none", "optional", "required"):
        raise ImproperlyConfigured("REDIS_URL: ssl_cert_reqs must be none, optional or required.")


def _sentinels(url: str) -> list[tuple[str, int]]:
    found = []
    for number, place in enumerate(urlsplit(url).netloc.rpartition("@")[2].split(","), 1):
        try:
            parts = urlsplit(f"//{place}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host:
            raise ImproperlyConfigured(f"REDIS_URL: number {number} of the Sentinels is no host:port.")
        found.append((host, port or SENTINEL_PORT))
    return found
