"""Two questions that a supervisor asks: is the process alive (`/healthz`), and can it serve people (`/readyz`)?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chat import drain
from chat.models import ChatSession

logger = logging.getLogger(__name__)

# A database that hangs keeps the thread that asks it. Questions can hold these two and no more; the site's own threads
# stay free, and a question that finds neither waits its time and says so.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="readyz")


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is asked, so that a broken database does not get the process restarted."""
    return HttpResponse("ok", content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """200 if database and channel layer both answer in time, else 503; each part's state is `ok` or what is wrong.

    A process that is told to end is not ready any more, and says so without asking anybody.
    """
    if drain.is_under_way():
        return JsonResponse({"status": "draining"}, status=503)
    loop = asyncio.get_running_loop()
    database, channel_layer = await asyncio.gather(
        _state("database", loop.run_in_executor(_threads, _ask_database)),
        _state("channel layer", _ask_channel_layer()),
    )
    is_ready = database == channel_layer == "ok"
    return JsonResponse(
        {"status": "ok" if is_ready else "unavailable", "database": database, "channel_layer": channel_layer},
        status=200 if is_ready else 503,
    )


async def _state(name: str, answer: Awaitable[None]) -> str:
    try:
        await asyncio.wait_for(answer, settings.READY_SECONDS)
    except TimeoutError:
        state = f"no answer within {settings.READY_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - a probe reports whatever a driver raises, and each raises its own
        # The name alone goes out: the text of a driver's error tells anyone who asks where the database lives.
        state = type(error).__name__
        logger.warning("%s is not ready: %s", name, error)
        return state
    else:
        return "ok"
    logger.warning("%s is not ready: %s", name, state)
    return state


def _ask_database() -> None:
    """A read of one of our tables: it fails too where the tables were never made."""
    try:
        ChatSession.objects.values_list("pk").first()
    finally:
        # This thread is no request's; nobody else would close its connection.
        connection.close()


async def _ask_channel_layer() -> None:
    """An announcement to a group that nobody is in: it takes the way of every other and leaves nothing behind."""
    await get_channel_layer().group_send("readyz", {"type": "readyz"})
