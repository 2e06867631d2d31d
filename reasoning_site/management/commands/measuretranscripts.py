"""`manage.py measuretranscripts`: how long the admin's lists and searches take, with what is in the database."""

from __future__ import annotations

import math
import statistics
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.models import Count
from django.test import Client
from django.urls import reverse

from chat.admin.capped_paginator import LONGEST_LIST
from chat.admin.transcript_list import TranscriptList
from chat.models import ChatSession, Event, Run

LIST_SECONDS = 0.3
SEARCH_SECONDS = 0.5
LISTS = {"sessions": ChatSession, "runs": Run, "events": Event}
# What has no bar and is only told. The first is asked for every three seconds, by each page of operations that is open.
PAGES = {
    "operations, now": ("admin:operations_now", {}),
    **{f"dashboard, {span}": ("admin:dashboard", {"range": span}) for span in ("24h", "7d", "90d")},
    "dashboard, 90d by tool": ("admin:dashboard", {"range": "90d", "by": "tool"}),
}


@dataclass(frozen=True, slots=True)
class Case:
    list_name: str
    title: str
    query: dict[str, str]
    seconds: list[float] = field(default_factory=list)

    @property
    def address(self) -> str:
        if self.list_name in LISTS:
            return reverse(f"admin:chat_{LISTS[self.list_name]._meta.model_name}_changelist", query=self.query)
        return reverse(PAGES[self.title][0], query=self.query)

    @property
    def bar(self) -> float:
        if self.list_name not in LISTS:
            return math.inf
        return SEARCH_SECONDS if "q" in self.query else LIST_SECONDS

    @property
    def p50(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.seconds, n=20, method="inclusive")[-1]


class Command(BaseCommand):
    help = (
        "Open filtered lists and searches of the admin, as somebody who may see all and as somebody who may not, and print how long"
        " they take. Fails where one of them is over its bar."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=20, help="how often each is opened (default: %(default)s)")
        parser.add_argument(
            "--patience", type=float, default=1, help="by how much the bars are raised (default: %(default)s)"
        )
        parser.add_argument("--only", default="", help="only those whose name has this in it")

    def handle(self, *, rounds: int, patience: float, only: str, **options: Any) -> None:
        if rounds < 2:
            raise CommandError("--rounds must be 2 or more.")
        if not Event.objects.exists():
            raise CommandError("There is nothing to find: fill the database with filltranscripts.")
        viewers = _viewers()
        try:
            over = self._measure(viewers, rounds, patience, only)
        finally:
            for viewer in viewers:
                viewer.delete()
        if over:
            raise CommandError(
                f"{over} over the bar of {LIST_SECONDS} s for a list or {SEARCH_SECONDS} s for a search."
            )

    def _measure(self, viewers: list[User], rounds: int, patience: float, only: str) -> int:
        over = 0
        self.stdout.write(f"{Event.objects.count():,} events, {Run.objects.count():,} runs, p50 and p95 in ms")
        for viewer in viewers:
            client = Client(headers={"host": settings.ALLOWED_HOSTS[0].replace("*", "127.0.0.1").lstrip(".")})
            client.force_login(viewer, settings.SIGN_IN_BACKEND)
            cases = [case for case in _cases(viewer) if only in f"{viewer.username} {case.list_name}: {case.title}"]
            for case in cases * rounds:
                began = time.perf_counter()
                answer = client.get(case.address, secure=settings.HTTPS)
                case.seconds.append(time.perf_counter() - began)
                if answer.status_code != 200:
                    raise CommandError(f"{case.address} answers {answer.status_code}.")
            for case in cases:
                is_over = case.p95 > case.bar * patience
                over += is_over
                name = f"{viewer.username} {case.list_name}: {case.title}"
                self.stdout.write(
                    f"{name:74} {case.p50 * 1000:6.0f} {case.p95 * 1000:6.0f}{'  over the bar' if is_over else ''}"
                )
        return over


def _viewers() -> list[User]:
    everything = User(username="measuring-all", is_staff=True, is_superuser=True)
    viewer = User(username="measuring-viewer", is_staff=True)
    for user in (everything, viewer):
        user.set_unusable_password()
        user.save()
    viewer.user_permissions.set(Permission.objects.filter(codename__in=["view_chatsession", "view_run", "view_event"]))
    return [everything, viewer]


def _cases(viewer: User) -> Iterator[Case]:
    agent, model = Run.objects.order_by("-created_at").values_list("agent", "model")[0]
    tool = Event.objects.exclude(tool_name="").order_by("-created_at").values_list("tool_name", flat=True)[0]
    by_sessions = User.objects.annotate(count=Count("chat_sessions")).filter(count__gt=0).order_by("-count")
    busy = by_sessions.values_list("username", flat=True)[0]
    idle = by_sessions.reverse().values_list("username", flat=True)[0]
    error = Run.objects.exclude(error_code="").values_list("error_code", flat=True).first() or "internal"
    middle = Run.objects.order_by("created_at")[Run.objects.count() // 2].created_at.date().isoformat()
    filters: dict[str, dict[str, str]] = {
        "all": {},
        "a busy user": {"user": busy},
        "an idle user": {"user": idle},
        "agent": {"agent": agent},
        "model": {"model": model},
        "tool": {"tool": tool},
        "agent, model, tool, state": {"agent": agent, "model": model, "tool": tool, "state": "completed"},
        "failed": {"state": "failed"},
        "error code": {"error": error},
        "error code of an idle user": {"error": error, "user": idle},
        "failed tools": {"failed_tools": "some"},
        "no such tool": {"tool": "no-such-tool"},
        "past 7 days": {"age": "7d"},
        "a day half a year ago": {"time_from": f"{middle}T00:00", "time_to": f"{middle}T23:59"},
        "a day half a year ago, agent, tool": {
            "time_from": f"{middle}T00:00",
            "time_to": f"{middle}T23:59",
            "agent": agent,
            "tool": tool,
        },
        "long": {"duration_from": "20"},
        "very long": {"duration_from": "100000"},
        "between 1 and 2 s": {"duration_from": "1", "duration_to": "2"},
        "many tokens": {"tokens_from": "6000"},
        "dear": {"cost_from": "0.01"},
        "no cost": {"cost_to": "0"},
        "thumb down": {"feedback": "down"},
        "with a comment": {"feedback": "comment"},
        "no feedback": {"feedback": "none"},
        "private": {"private": "yes"},
    }
    sorted_by = {
        "runs": ("duration", "tokens", "cost_in_dollars"),
        "events": ("duration_in_seconds", "tokens", "cost_in_dollars"),
    }
    own = {
        "events": {
            "errors": {"step_type": "error"},
            "answers": {"step_type": "final_answer"},
            "messages": {"type": "message"},
        }
    }
    for name, model_of_list in LISTS.items():
        if model_of_list._default_manager.count() > 2 * LONGEST_LIST:
            yield Case(name, "the last page", {"p": str(LONGEST_LIST // TranscriptList.list_per_page)})
        for title, query in (filters | own.get(name, {})).items():
            yield Case(name, title, query)
        for column in sorted_by.get(name, ()):
            # Who may take transcripts out has a column more, of boxes to tick.
            place = admin.site.get_model_admin(model_of_list).list_display.index(column) + viewer.is_superuser
            yield Case(name, f"the largest by {column}", {"o": f"-{place}"})
            yield Case(name, f"the largest by {column}, agent", {"o": f"-{place}", "agent": agent})
        for title, words in _searches().items():
            yield Case(name, f"search for {title}", {"q": words})
        frequent = _searches()["a frequent word"]
        yield Case(name, "search for a frequent word of an idle user", {"q": frequent, "user": idle})
        yield Case(name, "search for a frequent word, error code", {"q": frequent, "error": error})
        yield Case(name, "search for a frequent word, a day", {"q": frequent, **filters["a day half a year ago"]})
        yield Case(name, "search for a user", {"q": busy})
    if viewer.is_superuser:
        for title, (_, query) in PAGES.items():
            yield Case("pages", title, query)


def _searches() -> dict[str, str]:
    """Words from those of some of the events: how often a word is in them is about how often it is in all."""
    if connection.vendor != "postgresql":
        return {"a frequent word": "the", "no word": "nowhere-to-be-found"}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT greatest(0.1, least(100, 2000000.0 / greatest(reltuples, 1))) FROM pg_class WHERE relname = 'chat_event'"
        )
        share = cursor.fetchone()[0]
        sample = f"SELECT searched FROM chat_event TABLESAMPLE SYSTEM ({share}) REPEATABLE (1)"  # noqa: S608 - a number of the database's
        cursor.execute(
            "SELECT word, ndoc FROM ts_stat(%s) WHERE word ~ '^[a-z]{2,}$' ORDER BY ndoc DESC, word", [sample]
        )
        words = cursor.fetchall()
        cursor.execute(f"SELECT count(*) FROM ({sample}) AS sample")  # noqa: S608 - ours
        size = cursor.fetchone()[0]

    def near(share: float) -> str:
        return min(words, key=lambda one: abs(one[1] / size - share))[0]  # type: ignore[no-any-return] # from the database

    return {
        "a word in most steps": words[0][0],
        "a frequent word": near(0.5),
        "a word in a tenth": near(0.1),
        "a word in 3 %": near(0.03),
        "a word in 1 %": near(0.01),
        "a word in 0.1 %": near(0.001),
        "a rare word": words[-1][0],
        "two frequent words": f"{words[0][0]} {near(0.4)}",
        "a frequent and a rare word": f"{words[0][0]} {words[-1][0]}",
        "three middling words": f"{near(0.05)} {near(0.045)} {near(0.03)}",
        "a phrase of frequent words": f'"{words[0][0]} {words[1][0]}"',
        "one word or another": f"{near(0.03)} or {near(0.01)}",
        "all without a word": f"-{words[0][0]}",
        "no word": "nowhere-to-be-found",
    }
