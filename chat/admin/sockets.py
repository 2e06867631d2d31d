"""The list of open sockets."""

from __future__ import annotations

from django.contrib import admin

from chat.admin.read_only import ReadOnly, moment_text
from chat.models import OpenSocket


@admin.register(OpenSocket)
class OpenSocketAdmin(ReadOnly):
    list_display = ["user", "process", "opened"]
    list_filter = ["process", "opened_at"]
    list_select_related = ["user", "process"]
    ordering = ["-opened_at"]
    search_fields = ["user__username", "process__name"]

    @admin.display(description="opened at", ordering="opened_at")
    def opened(self, socket: OpenSocket) -> str:
        return moment_text(socket.opened_at)
