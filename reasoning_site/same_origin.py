"""Which pages may open a socket here: those of this site, and of the origins in the settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from chat.protocol import Close

_PORTS = {"http": 80, "https": 443}


class SameOrigin:
    """Lets a socket through whose `Origin` is the site's own, scheme and port included, or one of `ALLOWED_ORIGINS`.

    A missing `Origin` is let through: no browser leaves it out, so no foreign page can.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if _may_open(headers):
            await self._inner(scope, receive, send)
        else:
            await _refuse(receive, send)


def _may_open(headers: dict[bytes, str]) -> bool:
    host = headers.get(b"host", "")
    # The name in the Host header must be ours, or a foreign name that points here would make its own page "the same".
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    origin = headers.get(b"origin")
    if origin is None:
        return True
    scheme = "https" if settings.SECURE_SSL_REDIRECT else "http"
    allowed = [_parts(f"{scheme}://{host}"), *map(_parts, settings.ALLOWED_ORIGINS)]
    found = _parts(origin)
    return found is not None and found in allowed


def _parts(origin: str) -> tuple[str, str, int | None] | None:
    """Scheme, name and port of an origin; None where it is not one and nothing else."""
    try:
        url = urlsplit(origin)
        port = url.port or _PORTS.get(url.scheme)
    except ValueError:
        return None
    if url.scheme not in _PORTS or not url.hostname or "@" in url.netloc or url.path or url.query or url.fragment:
        return None
    return url.scheme, url.hostname, port


def close_unknown(router: Any) -> Any:
    """Where no route fits: an application that returns without an answer would leave the socket half open."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await router(scope, receive, send)
        except ValueError as error:
            if not str(error).startswith("No route found"):
                raise
            await _refuse(receive, send)

    return application


async def _refuse(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": int(Close.NOT_FOUND)})
