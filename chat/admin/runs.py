"""The list of runs."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from chat.admin.read_only import ReadOnly, list_link, moment_text, shortened
from chat.models import Event, Run


@admin.register(Run)
class RunAdmin(ReadOnly):
    actions = ["compare"]
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

    @admin.action(description="Compare the two selected runs", permissions=["view"])
    def compare(self, request: HttpRequest, runs: QuerySet[Run]) -> HttpResponse | None:
        """Two runs side by side; any other number is refused in words."""
        chosen = list(runs.order_by("created_at", "seq").values_list("pk", flat=True)[:3])
        if len(chosen) != 2:
            self.message_user(request, "Select two runs to compare, no more and no fewer.", messages.ERROR)
            return None
        return redirect(reverse("admin:chat_compare", query={"left": chosen[0], "right": chosen[1]}))
