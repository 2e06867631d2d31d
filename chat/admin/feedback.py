"""The list of what users think of answers."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from chat.admin.read_only import ReadOnly, list_link, moment_text, shortened
from chat.models import Feedback, Run
from chat.readings import readable_by


@admin.register(Feedback)
class FeedbackAdmin(ReadOnly):
    """On a private session it is as private as the session."""

    list_display = ["thumb", "commented", "owner", "agent", "by_model", "updated"]
    list_filter = ["thumb", "updated_at"]
    list_select_related = ["run__session__owner"]
    ordering = ["-updated_at"]
    search_fields = ["comment", "run__session__public_id", "run__session__owner__username"]
    fields = ["thumb", "comment", "of_run", "created_at", "updated_at"]
    readonly_fields = ["of_run"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Feedback]:
        return super().get_queryset(request).filter(run__session__in=readable_by(request.user))

    @admin.display(description="comment", ordering="comment")
    def commented(self, feedback: Feedback) -> str:
        return shortened(feedback.comment)

    @admin.display(ordering="run__session__owner__username")
    def owner(self, feedback: Feedback) -> str:
        return feedback.run.session.owner.get_username()

    @admin.display(ordering="run__agent")
    def agent(self, feedback: Feedback) -> str:
        return feedback.run.agent

    @admin.display(description="model", ordering="run__model")
    def by_model(self, feedback: Feedback) -> str:
        return feedback.run.model

    @admin.display(description="updated at", ordering="updated_at")
    def updated(self, feedback: Feedback) -> str:
        return moment_text(feedback.updated_at)

    @admin.display(description="run")
    def of_run(self, feedback: Feedback) -> str:
        return list_link(Run, "Run of this answer", pk=feedback.run_id)
