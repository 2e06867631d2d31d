"""The list of runs."""

from __future__ import annotations

from django.contrib import admin

from chat.admin.read_only import ReadOnly, list_link, moment_text, shortened
from chat.models import Event, Run


@admin.register(Run)
class RunAdmin(ReadOnly):
    list_display = ["asked", "owner", "state", "agent", "model", "created"]
    list_filter = ["state", "agent", "model", "created_at"]
    list_select_related = ["session__owner"]
    ordering = ["-session_id", "seq"]
    search_fields = ["message", "client_id", "session__title", "session__public_id", "session__owner__username"]
    readonly_fields = ["events"]

    @admin.display(description="message")
    def asked(self, run: Run) -> str:
        return shortened(run.message) or str(run.pk)

    @admin.display(description="created at", ordering="created_at")
    def created(self, run: Run) -> str:
        return moment_text(run.created_at)

    @admin.display(ordering="session__owner__username")
    def owner(self, run: Run) -> str:
        return run.session.owner.get_username()

    @admin.display
    def events(self, run: Run) -> str:
        return list_link(Event, "Events of this run", run__id__exact=run.pk)
