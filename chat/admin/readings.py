"""The list of who read what belongs to somebody else."""

from __future__ import annotations

from django.contrib import admin

from chat.admin.read_only import ReadOnly, moment_text
from chat.models import Reading


@admin.register(Reading)
class ReadingAdmin(ReadOnly):
    """Sessions go by their ids: their titles may be private."""

    list_display = ["moment", "reader", "how", "owner", "read"]
    list_filter = ["how", "at", ("session", admin.EmptyFieldListFilter)]
    list_select_related = ["reader", "owner", "session"]
    ordering = ["-at", "-pk"]
    search_fields = ["reader__username", "owner__username", "session__public_id"]
    date_hierarchy = "at"
    fields = ["at", "reader", "how", "owner", "read", "run_id"]
    readonly_fields = ["read"]

    @admin.display(description="at", ordering="at")
    def moment(self, reading: Reading) -> str:
        return moment_text(reading.at)

    @admin.display(description="session", ordering="session__public_id", empty_value="deleted")
    def read(self, reading: Reading) -> str | None:
        return reading.session.public_id if reading.session else None
