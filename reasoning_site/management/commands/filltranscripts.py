"""`manage.py filltranscripts`: fill a database with plausible transcripts, for trying and measuring the admin."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import date
from itertools import islice
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.models import F, Max, Model
from django.utils import timezone

from chat import tool_counts
from chat.models import ChatSession, DailyUsage, Event, Feedback, Run
from reasoning_site.plausible import Author, History, days_of

AT_ONCE = 400


class Command(BaseCommand):
    help = "Fill the database with plausible sessions, runs, steps, users, feedback and costs. Not for a site that people use."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--steps", type=int, default=10_000, help="how many events, about (default: %(default)s)")
        parser.add_argument("--users", type=int, default=500, help="of how many users (default: %(default)s)")
        parser.add_argument("--seed", type=int, default=1, help="another seed, another history (default: %(default)s)")

    def handle(self, *, steps: int, users: int, seed: int, **options: Any) -> None:
        if steps < 1 or users < 1:
            raise CommandError("--steps and --users must be 1 or more.")
        people = _people(users)
        began = time.monotonic()
        with transaction.atomic():
            index = _without_word_index()
            last = ChatSession.objects.aggregate(last=Max("pk"))["last"] or 0
            author = Author(seed, users=people, steps=steps, first_session=last + 1, now=timezone.now())
            histories = author.histories()
            written = 0
            while batch := list(islice(histories, AT_ONCE)):
                _write(batch)
                written += sum(len(history.events) for history in batch)
                passed = time.monotonic() - began
                self.stdout.write(f"\r{written:,} of {steps:,} steps, {written / passed:,.0f} a second ", ending="")
                self.stdout.flush()
            self.stdout.write("")
            if index:
                self.stdout.write("Indexing the words …")
                with connection.cursor() as cursor:
                    cursor.execute(index)
            _set_sequences()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # Without it, the planner goes by what it knew of an empty table until the server comes to it.
                cursor.execute(
                    "VACUUM (ANALYZE) chat_event, chat_run, chat_toolcount, chat_chatsession, chat_feedback, auth_user"
                )
        self.stdout.write(f"Filled in {time.monotonic() - began:.0f} s.")


def _people(count: int) -> list[int]:
    """Users that nobody can sign in as."""
    names = [f"filled-{number:04}" for number in range(1, count + 1)]
    password = make_password(None)
    User.objects.bulk_create((User(username=name, password=password) for name in names), ignore_conflicts=True)
    return list(User.objects.filter(username__in=names).order_by("pk").values_list("pk", flat=True))


def _without_word_index() -> str:
    """Into an empty table it is quicker to write without the index of words; returns what makes it again, if it was taken away."""
    if connection.vendor != "postgresql" or Event.objects.exists():
        return ""
    with connection.cursor() as cursor:
        # Checked at the end of the transaction, the foreign keys of the rows would keep the index from being made before it.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SELECT pg_get_indexdef('event_searched'::regclass)")
        definition: str = cursor.fetchone()[0]
        cursor.execute("DROP INDEX event_searched")
    return definition


def _write(batch: list[History]) -> None:
    _insert(ChatSession, [history.session for history in batch])
    _insert(Run, [run for history in batch for run in history.runs])
    _insert(Event, [event for history in batch for event in history.events])
    _insert(Feedback, [feedback for history in batch for feedback in history.feedback])
    tool_counts.rebuild([run.pk for history in batch for run in history.runs])
    used: defaultdict[tuple[int, date], list[int]] = defaultdict(lambda: [0, 0])
    for user, day, tokens_in, tokens_out in days_of(batch):
        used[user, day][0] += tokens_in
        used[user, day][1] += tokens_out
    DailyUsage.objects.bulk_create((DailyUsage(user_id=user, day=day) for user, day in used), ignore_conflicts=True)
    for (user, day), (tokens_in, tokens_out) in used.items():
        DailyUsage.objects.filter(user_id=user, day=day).update(
            input_tokens=F("input_tokens") + tokens_in, output_tokens=F("output_tokens") + tokens_out
        )


def _insert(model: type[Model], rows: Sequence[Model]) -> None:
    if connection.vendor == "postgresql":
        _copy(model, rows)
    else:
        model._default_manager.bulk_create(rows, batch_size=500)


def _copy(model: type[Model], rows: Iterable[Model]) -> None:
    """As PostgreSQL reads fastest. Ids that are not set come from the sequence."""
    fields = [field for field in model._meta.concrete_fields if model in (ChatSession, Run) or not field.primary_key]
    names = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    attributes = [(field.attname, field.get_internal_type() == "JSONField") for field in fields]
    table = connection.ops.quote_name(model._meta.db_table)
    with closing(connection.cursor()) as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(
                [json.dumps(getattr(row, name)) if is_json else getattr(row, name) for name, is_json in attributes]
            )


def _set_sequences() -> None:
    """Sessions were given ids of their own; the next one must come after them."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT setval(pg_get_serial_sequence('chat_chatsession', 'id'), (SELECT max(id) FROM chat_chatsession))"
            )
