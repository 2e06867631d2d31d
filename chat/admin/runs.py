"""The list of runs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from chat import finding
from chat.admin import run_narrowing as of_runs
from chat.admin.cells import count, dollars, span, thumb
from chat.admin.read_only import list_link, moment_text, shortened
from chat.admin.run_operations import OPERATIONS, Operated
from chat.admin.sessions import among, named, session_link
from chat.admin.takeout import take_out
from chat.admin.transcript_list import TranscriptList, Viewer
from chat.models import Event, Reading, Run
from chat.readings import readable_by, record

EXCERPT = 200


@admin.register(Run)
class RunAdmin(Operated, TranscriptList):
    actions = [take_out, "compare", *OPERATIONS]
    list_display = [
        "asked",
        "in_session",
        "owner",
        "state_and_error",
        "agent",
        "model",
        "duration",
        "tokens",
        "cost_in_dollars",
        "tool_error_count",
        "feedback_given",
        "event_list",
        "created",
    ]
    list_filter = [
        *of_runs.filters_of_runs(
            user="session__owner__username", time="created_at", feedback=of_runs.feedback, private="session__is_private"
        )
    ]
    list_select_related = ["session__owner", "feedback"]
    sortable_by = ["duration", "tokens", "cost_in_dollars", "created"]
    search_help_text = "Runs with a step or message that has all words, or of such a session or user; the id of a run."
    readonly_fields = ["events"]

    def readable(self, viewer: Viewer) -> QuerySet[Run]:
        return Run.objects.filter(session__in=readable_by(viewer))

    def found(self, queryset: QuerySet[Run], text: str, *, viewer: Viewer) -> QuerySet[Run]:
        if (run_id := finding.exact_id(text)) is not None:
            return queryset.filter(pk=run_id)
        return queryset.filter(finding.runs(text) | among(named(text), "session"))

    def having_to_do_with(self, queryset: QuerySet[Run], runs: Q) -> QuerySet[Run]:
        return queryset.filter(runs)

    def light(self, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return queryset.defer("message").annotate(excerpt=Left("message", EXCERPT))

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["seq"] if "session__id__exact" in request.GET else ["-created_at"]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        run = self.get_object(request, object_id)
        if run is not None and self.has_view_permission(request, run):
            record(request.user, [run.session], Reading.How.READ, run_id=run.pk)
        return super().change_view(request, object_id, *args, **kwargs)

    @admin.display(description="message")
    def asked(self, run: Any) -> str:
        return shortened(run.excerpt) or str(run.pk)

    @admin.display(description="created at", ordering="created_at")
    def created(self, run: Run) -> str:
        return moment_text(run.created_at)

    @admin.display(description="user")
    def owner(self, run: Run) -> str:
        return run.session.owner.get_username()

    @admin.display(description="state")
    def state_and_error(self, run: Run) -> str:
        state = run.get_state_display()
        return f"{state} ({run.error_code})" if run.error_code else state

    @admin.display(ordering=of_runs.DURATION.asc(nulls_first=True))
    def duration(self, run: Run) -> str:
        return span(run.ended_at - run.started_at if run.ended_at and run.started_at else None)

    @admin.display(ordering=of_runs.TOKENS.asc(nulls_first=True))
    def tokens(self, run: Run) -> str:
        return count(run.input_tokens + run.output_tokens)

    @admin.display(description="cost", ordering=F("cost").asc(nulls_first=True))
    def cost_in_dollars(self, run: Run) -> str:
        return dollars(run.cost)

    @admin.display(description="tool errors")
    def tool_error_count(self, run: Run) -> str:
        return count(run.tool_errors)

    @admin.display(description="feedback")
    def feedback_given(self, run: Run) -> str:
        return thumb(getattr(run, "feedback", None))

    @admin.display(description="session")
    def in_session(self, run: Run) -> str:
        return session_link(run.session, run.seq)

    @admin.display(description="steps")
    def event_list(self, run: Run) -> str:
        return list_link(Event, "Steps", run__id__exact=run.pk)

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
