"""Every address of the site. Sockets have theirs in `chat.routing`."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from reasoning_site import accounts, first_admin, health, metrics, own_data

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("accounts/login/", accounts.SignIn.as_view(), name="login"),
    path("accounts/sign-up/", accounts.sign_up, name="sign_up"),
    path("accounts/first-admin/<str:token>/", first_admin.first_admin, name="first_admin"),
    path("accounts/data/", own_data.own_data, name="own_data"),
    path("accounts/", include("django.contrib.auth.urls")),
    path("", include("chat.urls")),
]

handler500 = "reasoning_site.failures.failed"
