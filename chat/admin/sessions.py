"""The list of sessions."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from chat.admin.read_only import ReadOnly, list_link, moment_text, shortened
from chat.models import ChatSession, Event, Run


@admin.register(ChatSession)
class ChatSessionAdmin(ReadOnly):
    list_display = ["titled", "owner", "agent", "head", "created", "updated"]
    list_filter = ["agent", "created_at", "updated_at"]
    list_select_related = ["owner"]
    search_fields = ["title", "public_id", "owner__username"]
    fields = [
        "title",
        "public_id",
        "owner",
        "agent",
        "transcript",
        "runs",
        "events",
        "head",
        "epoch",
        "created_at",
        "updated_at",
    ]
    readonly_fields = ["transcript", "runs", "events"]

    @admin.display(description="session", ordering="title")
    def titled(self, session: ChatSession) -> str:
        return shortened(str(session))

    @admin.display(description="created at", ordering="created_at")
    def created(self, session: ChatSession) -> str:
        return moment_text(session.created_at)

    @admin.display(description="updated at", ordering="updated_at")
    def updated(self, session: ChatSession) -> str:
        return moment_text(session.updated_at)

    @admin.display
    def transcript(self, session: ChatSession) -> str:
        return format_html('<a href="{}">Read it</a>', reverse("admin:chat_transcript", args=[session.pk]))

    @admin.display
    def runs(self, session: ChatSession) -> str:
        return list_link(Run, "Runs of this session", session__id__exact=session.pk)

    @admin.display
    def events(self, session: ChatSession) -> str:
        return list_link(Event, "Events of this session", session__id__exact=session.pk)
