"""The list of what users have used."""

from __future__ import annotations

from django.contrib import admin

from chat.admin.read_only import ReadOnly
from chat.models import DailyUsage


@admin.register(DailyUsage)
class DailyUsageAdmin(ReadOnly):
    list_display = ["day", "user", "input_tokens", "output_tokens"]
    list_filter = ["day"]
    list_select_related = ["user"]
    ordering = ["-day", "user"]
    search_fields = ["user__username"]
