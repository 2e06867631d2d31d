"""The pages of the product."""

from __future__ import annotations

from django.urls import path, re_path

from chat import views
from chat.protocol import SESSION_ID

app_name = "chat"
urlpatterns = [
    path("", views.home, name="home"),
    path("s/new/", views.new, name="new"),
    re_path(rf"^s/(?P<session_id>{SESSION_ID})/\Z", views.session, name="session"),
]
