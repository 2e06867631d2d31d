"""The three models in Django's admin: to be looked at and searched, never to be changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html

from chat.models import ChatSession, Event, Run

admin.site.site_header = admin.site.site_title = admin.site.index_title = "Glassbox"

# Characters of a text in a list, so that all columns fit on a screen of 1280 px beside the navigation and the filters.
LONGEST = 40
LONGEST_SESSION = 20


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


def _shortened(text: str, length: int = LONGEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _moment(moment: datetime) -> str:
    # A column of Django's own for a time is as wide as its longest month, and never wraps.
    return date_format(timezone.localtime(moment), "j M Y, H:i:s")


def _list_link(model: type[Model], text: str, **filters: object) -> str:
    """A link to the admin's list of the model, filtered."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist", query=filters)
    return format_html('<a href="{}">{}</a>', url, text)


@admin.register(ChatSession)
class ChatSessionAdmin(ReadOnly):
    list_display = ["titled", "owner", "agent", "head", "created", "updated"]
    list_filter = ["agent", "created_at", "updated_at"]
    list_select_related = ["owner"]
    search_fields = ["title", "public_id", "owner__username"]
    fields = ["title", "public_id", "owner", "agent", "runs", "events", "head", "epoch", "created_at", "updated_at"]
    readonly_fields = ["runs", "events"]

    @admin.display(description="session", ordering="title")
    def titled(self, session: ChatSession) -> str:
        return _shortened(str(session))

    @admin.display(description="created at", ordering="created_at")
    def created(self, session: ChatSession) -> str:
        return _moment(session.created_at)

    @admin.display(description="updated at", ordering="updated_at")
    def updated(self, session: ChatSession) -> str:
        return _moment(session.updated_at)

    @admin.display
    def runs(self, session: ChatSession) -> str:
        return _list_link(Run, "Runs of this session", session__id__exact=session.pk)

    @admin.display
    def events(self, session: ChatSession) -> str:
        return _list_link(Event, "Events of this session", session__id__exact=session.pk)


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
        return _shortened(run.message) or str(run.pk)

    @admin.display(description="created at", ordering="created_at")
    def created(self, run: Run) -> str:
        return _moment(run.created_at)

    @admin.display(ordering="session__owner__username")
    def owner(self, run: Run) -> str:
        return run.session.owner.get_username()

    @admin.display
    def events(self, run: Run) -> str:
        return _list_link(Event, "Events of this run", run__id__exact=run.pk)


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
        return _moment(event.created_at)

    @admin.display(description="content")
    def excerpt(self, event: Event) -> str:
        return _shortened(event.content)

    @admin.display(description="session", ordering="session")
    def in_session(self, event: Event) -> str:
        return _shortened(str(event.session), LONGEST_SESSION)
