"""The addresses of the sockets."""

from __future__ import annotations

from django.urls import re_path

from chat.consumers import ChatConsumer
from chat.protocol import SESSION_ID

websocket_urlpatterns = [re_path(rf"^ws/chat/(?P<session_id>{SESSION_ID})/?$", ChatConsumer.as_asgi())]
