"""The list of sessions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet, Sum

from chat import finding
from chat.admin import run_narrowing as of_runs
from chat.admin.cells import count, dollars, link, span, thumbs, transcript_url
from chat.admin.read_only import LONGEST_SESSION, list_link, moment_text, shortened
from chat.admin.transcript_list import TranscriptList, Viewer
from chat.models import ChatSession, Event, Feedback, Run
from chat.readings import readable_by

FEW = 500


@admin.register(ChatSession)
class ChatSessionAdmin(TranscriptList):
    list_display = [
        "titled",
        "transcript",
        "owner_name",
        "agent",
        "run_count",
        "event_count",
        "duration",
        "tokens",
        "cost",
        "tool_errors",
        "feedback",
        "updated",
    ]
    list_filter = [
        *of_runs.filters_of_runs(
            user="owner__username", time="updated_at", feedback=of_runs.session_feedback, private="is_private"
        )
    ]
    list_select_related = ["owner"]
    sortable_by = ["updated"]
    search_help_text = (
        "Sessions with a step or message that has all words, or with such a title, id or user; the id of a run."
    )
    fields = [
        "title",
        "public_id",
        "owner",
        "agent",
        "is_private",
        "transcript",
        "runs",
        "events",
        "head",
        "epoch",
        "created_at",
        "updated_at",
    ]
    readonly_fields = ["transcript", "runs", "events"]

    def readable(self, viewer: Viewer) -> QuerySet[ChatSession]:
        return readable_by(viewer)

    def found(self, queryset: QuerySet[ChatSession], text: str, *, viewer: Viewer) -> QuerySet[ChatSession]:
        if (run_id := finding.exact_id(text)) is not None:
            return queryset.filter(runs=run_id)
        return queryset.filter(finding.sessions(text) | among(named(text), "pk"))

    def having_to_do_with(self, queryset: QuerySet[ChatSession], runs: Q) -> QuerySet[ChatSession]:
        return queryset.filter(pk__in=Run.objects.filter(runs).order_by().values("session_id"))

    def light(self, queryset: QuerySet[ChatSession]) -> QuerySet[ChatSession]:
        return queryset.defer("epoch")

    def completed(self, rows: list[Any]) -> list[Any]:
        runs = Run.objects.filter(session__in=[row.pk for row in rows]).order_by().values("session_id")
        sums = runs.annotate(
            runs=Count("pk"),
            seconds=Sum(of_runs.DURATION),
            tokens=Sum(of_runs.TOKENS),
            dollars=Sum("cost"),
            tool_errors=Sum("tool_errors"),
            up=Count("pk", filter=Q(feedback__thumb=Feedback.UP)),
            down=Count("pk", filter=Q(feedback__thumb=Feedback.DOWN)),
        )
        found = {one["session_id"]: one for one in sums}
        for row in rows:
            row.sums = found.get(row.pk, {})
        return rows

    @admin.display(description="session")
    def titled(self, session: ChatSession) -> str:
        return shortened(str(session)) + (" (private)" if session.is_private else "")

    @admin.display(description="user")
    def owner_name(self, session: ChatSession) -> str:
        return session.owner.get_username()

    @admin.display(description="runs")
    def run_count(self, session: Any) -> str:
        return list_link(Run, count(session.sums.get("runs")), session__id__exact=session.pk)

    @admin.display(description="events")
    def event_count(self, session: ChatSession) -> str:
        return list_link(Event, count(session.head), session__id__exact=session.pk)

    @admin.display
    def duration(self, session: Any) -> str:
        return span(session.sums.get("seconds"))

    @admin.display
    def tokens(self, session: Any) -> str:
        return count(session.sums.get("tokens"))

    @admin.display
    def cost(self, session: Any) -> str:
        return dollars(session.sums.get("dollars"))

    @admin.display(description="tool errors")
    def tool_errors(self, session: Any) -> str:
        return count(session.sums.get("tool_errors"))

    @admin.display
    def feedback(self, session: Any) -> str:
        return thumbs(up=session.sums.get("up", 0), down=session.sums.get("down", 0))

    @admin.display(description="updated at", ordering="updated_at")
    def updated(self, session: ChatSession) -> str:
        return moment_text(session.updated_at)

    @admin.display
    def transcript(self, session: ChatSession) -> str:
        return link(transcript_url(session.pk), "Transcript")

    @admin.display
    def runs(self, session: ChatSession) -> str:
        return list_link(Run, "Runs of this session", session__id__exact=session.pk)

    @admin.display
    def events(self, session: ChatSession) -> str:
        return list_link(Event, "Events of this session", session__id__exact=session.pk)


def among(sessions: Q, path: str) -> Q:
    """A condition on rows whose `path` leads to one of these sessions. Where they are few it is their ids: a query is planned
    better for no sessions, which is the rule, than for any that there might be.
    """
    found = ChatSession.objects.filter(sessions).order_by().values("pk")
    few = list(found.values_list("pk", flat=True)[: FEW + 1])
    return Q(**{f"{path}__in": few if len(few) <= FEW else found})


def named(text: str) -> Q:
    """A condition on sessions: title, id or user has each of the words."""
    condition = Q()
    for word in text.split()[: finding.WORDS]:
        condition &= Q(title__icontains=word) | Q(public_id__icontains=word) | Q(owner__username__icontains=word)
    return condition


def session_link(session: ChatSession, seq: int | None = None) -> str:
    """Where it is read."""
    return link(transcript_url(session.pk, seq), shortened(str(session), LONGEST_SESSION))
