"""The list of events."""

from __future__ import annotations

from django.contrib import admin

from chat.admin.read_only import LONGEST_SESSION, ReadOnly, moment_text, shortened
from chat.models import Event


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ["what", "tool", "excerpt", "in_session", "created"]
    list_filter = ["type", "step_type", "tool_name", "created_at"]
    list_select_related = ["session"]
    ordering = ["-session_id", "seq"]
    search_fields = [
        "content",
        "tool_name",
        "call_id",
        "session__title",
        "session__public_id",
        "session__owner__username",
    ]

    @admin.display(description="event")
    def what(self, event: Event) -> str:
        """What it is, and its place in its session."""
        kind = event.get_step_type_display() if event.step_type else event.get_type_display()
        return f"{event.seq}. {kind.lower()}"

    @admin.display(ordering="tool_name")
    def tool(self, event: Event) -> str:
        return event.tool_name

    @admin.display(description="created at", ordering="created_at")
    def created(self, event: Event) -> str:
        return moment_text(event.created_at)

    @admin.display(description="content")
    def excerpt(self, event: Event) -> str:
        return shortened(event.content)

    @admin.display(description="session", ordering="session")
    def in_session(self, event: Event) -> str:
        return shortened(str(event.session), LONGEST_SESSION)
