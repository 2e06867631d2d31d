"""The list of what the site does by itself."""

from __future__ import annotations

from django.contrib import admin

from chat.admin.read_only import ReadOnly
from chat.models import Chore


@admin.register(Chore)
class ChoreAdmin(ReadOnly):
    list_display = ["name", "begun_at", "ended_at", "said"]
