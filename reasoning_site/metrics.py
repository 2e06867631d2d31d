"""Where Prometheus reads what `chat.metrics` counts: at `/metrics` on the web, at a port of its own on a worker."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, start_http_server
from prometheus_client.exposition import choose_encoder

import chat.metrics  # noqa: F401 - with it everything is counted that there is to be read

# A scrape may wait for the database; requests for pages have threads of their own.
_threads: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metrics")
# What a proxy says of where a request comes from. With any of them, its peer is not who asks.
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")


@never_cache
@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """Everything that this process counts, for whoever may read it; for anybody else there is no such page."""
    if not may_read(request):
        raise Http404
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    text = await asyncio.get_running_loop().run_in_executor(_threads, encode, REGISTRY)
    return HttpResponse(text, content_type=content_type)


def may_read(request: HttpRequest) -> bool:
    """Whoever knows `METRICS_TOKEN`; where none is set, whoever asks from this machine and not through a proxy."""
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        # Bytes: a text that is not ASCII cannot be compared.
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    if any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def serve(host: str, port: int) -> None:
    """Serve them at a port of their own, on a thread that ends with the process. Raises OSError where the port is taken."""
    start_http_server(port, addr=host)
