"""The three models in Django's admin: to be looked at and searched, never to be changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from chat.models import ChatSession, Event, Run


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg] # generic in its stubs alone
    """Nobody adds, changes or deletes here, superusers included: the log is written by `chat.events` alone.

    Who may look is a matter of Django's view permissions. An account with sessions cannot be deleted in the admin
    either, as its sessions would go with it; deactivate it.
    """

    actions = None
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _list_link(model: type[Model], text: str, **filters: object) -> str:
    """A link to the admin's list of the model, filtered."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist", query=filters)
    return format_html('<a href="{}">{}</a>', url, text)


@admin.register(ChatSession)
class ChatSessionAdmin(ReadOnly):
    list_display = ["__str__", "owner", "agent", "head", "created_at", "updated_at"]
    list_filter = ["agent", "created_at", "updated_at"]
    list_select_related = ["owner"]
    search_fields = ["title", "public_id", "owner__username"]
    fields = ["title", "public_id", "owner", "agent", "runs", "events", "head", "epoch", "created_at", "updated_at"]
    readonly_fields = ["runs", "events"]

    @admin.display
    def runs(self, session: ChatSession) -> str:
        return _list_link(Run, "Runs of this session", session__id__exact=session.pk)

    @admin.display
    def events(self, session: ChatSession) -> str:
        return _list_link(Event, "Events of this session", session__id__exact=session.pk)


@admin.register(Run)
class RunAdmin(ReadOnly):
    list_display = ["id", "session", "owner", "state", "agent", "model", "attempt", "created_at", "ended_at"]
    list_filter = ["state", "agent", "model", "created_at"]
    list_select_related = ["session__owner"]
    ordering = ["-session_id", "seq"]
    search_fields = ["message", "client_id", "session__title", "session__public_id", "session__owner__username"]
    readonly_fields = ["events"]

    @admin.display(ordering="session__owner__username")
    def owner(self, run: Run) -> str:
        return run.session.owner.get_username()

    @admin.display
    def events(self, run: Run) -> str:
        return _list_link(Event, "Events of this run", run__id__exact=run.pk)


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ["__str__", "session", "iteration", "tool_name", "excerpt", "created_at"]
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

    @admin.display(description="content")
    def excerpt(self, event: Event) -> str:
        return event.content if len(event.content) <= 100 else f"{event.content[:99]}…"
