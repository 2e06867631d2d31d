"""The addresses of the sockets."""

from __future__ import annotations

from django.urls import re_path

from chat.consumers import ChatConsumer
from chat.protocol import SESSION_ID
from chat.watching import WatchConsumer

websocket_urlpatterns = [
    re_path(rf"^ws/chat/(?P<session_id>{SESSION_ID})/?$", ChatConsumer.as_asgi()),
    re_path(r"^ws/admin/chat/(?P<pk>[0-9]{1,18})/?$", WatchConsumer.as_asgi()),
]
