"""The list of events: steps, messages, and the beginnings and ends of runs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse

from agents.steps import StepType
from chat import finding
from chat.admin import run_narrowing as of_runs
from chat.admin.cells import count, dollars, span
from chat.admin.narrowing import between, choice, number, time_filters, typed
from chat.admin.read_only import moment_text, shortened
from chat.admin.sessions import session_link
from chat.admin.transcript_list import TranscriptList, Viewer
from chat.models import Event, EventType, Reading, Run
from chat.readings import readable_by, record

EXCERPT = 200
TOOL_FAILED = Q(data__is_error=True)


def _of_type(value: str) -> Q:
    return Q(type=value)


def _of_step_type(value: str) -> Q:
    return Q(step_type=value)


@admin.register(Event)
class EventAdmin(TranscriptList):
    list_display = [
        "what",
        "tool",
        "excerpt",
        "owner",
        "duration_in_seconds",
        "tokens",
        "cost_in_dollars",
        "in_session",
        "created",
    ]
    list_filter = [
        of_runs.user_filter("session__owner__username"),
        of_runs.agent,
        of_runs.model,
        typed("tool", "tool", lambda value: Q(tool_name=value), known="known-tools"),
        choice("type", "type", {kind.value: (kind.label.capitalize(), _of_type) for kind in EventType}),
        choice(
            "step type",
            "step_type",
            {kind.value: (kind.value.replace("_", " ").capitalize(), _of_step_type) for kind in StepType},
        ),
        choice("failed tools", "failed_tools", {"some": ("Results of failed tools", lambda _: TOOL_FAILED)}),
        of_runs.run_state,
        of_runs.error,
        *time_filters("created_at"),
        between(
            "duration (seconds)",
            "duration",
            number,
            lambda seconds: Q(duration__gte=seconds),
            lambda seconds: Q(duration__lte=seconds),
        ),
        of_runs.tokens_filter(about_runs=False),
        of_runs.cost_filter(about_runs=False),
        of_runs.feedback,
        of_runs.private_filter("session__is_private"),
    ]
    list_select_related = ["session__owner"]
    search_help_text = (
        "Steps and messages that have all words, in what was said, a tool's name or its arguments; "
        "the id of a session or of a run."
    )

    def readable(self, viewer: Viewer) -> QuerySet[Event]:
        return Event.objects.filter(session__in=readable_by(viewer).order_by())

    def found(self, queryset: QuerySet[Event], text: str, *, viewer: Viewer) -> QuerySet[Event]:
        if (run_id := finding.exact_id(text)) is not None:
            return queryset.filter(run=run_id)
        if (session := readable_by(viewer).filter(public_id=text).first()) is not None:
            return queryset.filter(Q(session=session))
        return queryset.filter(finding.events(text))

    def having_to_do_with(self, queryset: QuerySet[Event], runs: Q) -> QuerySet[Event]:
        return queryset.filter(run__in=Run.objects.filter(runs).order_by())

    def light(self, queryset: QuerySet[Event]) -> QuerySet[Event]:
        failed = ExpressionWrapper(TOOL_FAILED, output_field=BooleanField())
        return queryset.defer("content", "data").annotate(beginning=Left("content", EXCERPT), failed=failed)

    def get_ordering(self, request: HttpRequest) -> list[str]:
        if {"session__id__exact", "run__id__exact"} & request.GET.keys():
            return ["session_id", "seq"]
        return ["-created_at", "-pk"]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        event = self.get_object(request, object_id)
        if event is not None and self.has_view_permission(request, event):
            record(request.user, [event.session], Reading.How.READ, run_id=event.run_id)
        return super().change_view(request, object_id, *args, **kwargs)

    @admin.display(description="event")
    def what(self, event: Any) -> str:
        """What it is, and its place in its session."""
        kind = event.get_step_type_display() if event.step_type else event.get_type_display()
        return f"{event.seq}. {kind.lower()}" + (", failed" if event.failed else "")

    @admin.display
    def tool(self, event: Event) -> str:
        return event.tool_name

    @admin.display(description="created at", ordering="created_at")
    def created(self, event: Event) -> str:
        return moment_text(event.created_at)

    @admin.display(description="content")
    def excerpt(self, event: Any) -> str:
        return shortened(event.beginning)

    @admin.display(description="user")
    def owner(self, event: Event) -> str:
        return event.session.owner.get_username()

    @admin.display(description="duration", ordering=F("duration").asc(nulls_first=True))
    def duration_in_seconds(self, event: Event) -> str:
        return span(event.duration)

    @admin.display(ordering=of_runs.TOKENS.asc(nulls_first=True))
    def tokens(self, event: Event) -> str:
        return count((event.input_tokens or 0) + (event.output_tokens or 0))

    @admin.display(description="cost", ordering=F("cost").asc(nulls_first=True))
    def cost_in_dollars(self, event: Event) -> str:
        return dollars(event.cost)

    @admin.display(description="session")
    def in_session(self, event: Event) -> str:
        return session_link(event.session, event.seq)
