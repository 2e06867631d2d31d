"""The ASGI application: pages by Django, sockets by Channels. Its first request starts what runs beside requests."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "reasoning_site.settings")
pages = get_asgi_application()

# Models can be imported from here on, and not before: hence the imports below the code.
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - see above
from channels.sessions import CookieMiddleware  # noqa: E402 - see above

from chat import processes, remote  # noqa: E402 - see above
from chat.routing import websocket_urlpatterns  # noqa: E402 - see above
from reasoning_site.same_origin import SameOrigin, close_unknown  # noqa: E402 - see above

routes = ProtocolTypeRouter(
    {"http": pages, "websocket": SameOrigin(CookieMiddleware(close_unknown(URLRouter(websocket_urlpatterns))))}
)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """What Daphne calls for every request and every socket."""
    remote.start()
    processes.current("web")
    await routes(scope, receive, send)
