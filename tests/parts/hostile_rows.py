"""Hostile text in every column of every model that the admin can show: `tests/xss.json`, all of it, in each.

Called inside an installation's own process (`manage.py shell`); what it prints is for the test. Sessions come by the way of every
session, from a message to its run's end; all other rows are made by looking at the models, later ones included.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count, cycle, islice
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import ForeignKey, Model
from django.test import override_settings
from django.utils import timezone

from agents.steps import Step, StepType, Usage
from chat import events, runs
from chat.models import ChatSession, Event, Run, RunState
from chat.transcripts.forms import FORMS
from tests.parts import admin_pages
from tests.parts.planting import Planting, takes_text, target_of
from tests.parts.trap import CORPUS, PROBE

TOGETHER = 4  # so many vectors in a text that has room for them
ROOM = 1000
DAY = timedelta(days=1)

# What nobody writes, or what is written by another way than a row here, and why.
LEFT_OUT = {
    "admin.LogEntry": "each is about another row",
    "auth.Permission": "the code's own",
    "contenttypes.ContentType": "the code's own",
    "sessions.Session": "no text of it is shown",
    "auth.User": "made first",
    "chat.ChatSession": "by its own way",
    "chat.Run": "by its own way",
    "chat.Event": "by its own way",
    "chat.ToolCount": "by its own way, with the run's steps",
}


class Hostile(Planting):
    """Each text has a number, in the order in which they are made, and stands for its column in `places`."""

    def __init__(self, visitor: User) -> None:
        super().__init__()
        self.visitor = visitor
        # The first is that of texts in addresses, `admin_pages.HOSTILE`.
        self.places = [""]
        self._vectors = cycle(CORPUS)
        self._targets: dict[type[Model], Iterator[Model]] = {}
        # What must hold of a row besides, by the model; given the row's number.
        self._more: dict[str, Callable[[int], dict[str, Any]]] = {
            # It is of one of the two.
            "chat.LegalHold": lambda number: {"user": None} if number % 2 else {"session": None},
            # What only its owner is shown; and only code says which list it is of, which format it has, and which runs.
            "chat.SavedFilter": lambda number: {
                "owner": visitor,
                "model": ("chatsession", "run", "event")[number % 3],
                "is_shared": bool(number % 2),
            },
            "chat.Export": lambda number: {
                "owner": visitor,
                "format": list(FORMS)[number % len(FORMS)],
                "runs": [run.pk.hex for run in Run.objects.order_by("session_id", "seq")],
                "last_event": Event.objects.order_by("-pk").values_list("pk", flat=True)[0],
            },
            # Servers remove whichever they have not heard of for a while.
            "chat.Process": lambda number: {"seen_at": timezone.now() + DAY},
            "chat.RetentionRule": lambda number: {"days": 365},
        }

    def text(self, field: Any) -> str:
        longest = ROOM * TOGETHER if field.max_length is None else field.max_length
        return self.said(field, "\n\n".join(islice(self._vectors, TOGETHER if longest >= ROOM else 1)))

    def said(self, field: Any, vector: str) -> str:
        """A text for this column, the probe before the vector."""
        text = f"{PROBE.format(len(self.places))} {vector}"[: field.max_length]
        self.places.append(f"{field.model._meta.label}.{field.name}")
        return text

    def json(self, field: Any) -> Any:
        text = self.text(field)
        return {text: [text, {text: text}]}

    def one(self, model: type[Model]) -> Model:
        """One row after the other."""
        if model not in self._targets:
            self._targets[model] = cycle(list(model._default_manager.order_by("pk")))
        return next(self._targets[model])

    def everything(self) -> None:
        for _ in CORPUS:
            self.row(User)
        self.visitor.first_name = self.said(User._meta.get_field("first_name"), CORPUS[0])
        self.visitor.save()
        self.sessions()
        for model in apps.get_models():
            if model._meta.label not in LEFT_OUT and model._meta.managed:
                self.fill(model)
        for model in admin.site._registry:
            for row in admin_pages.rows(model, self.visitor):
                self.log(row)

    def fill(self, model: type[Model]) -> None:
        """So many rows that the whole corpus has been in each column."""
        columns = [field for field in model._meta.concrete_fields if takes_text(field)]
        has_narrow = any(field.max_length is not None and field.max_length < ROOM for field in columns)
        more = self._more.get(model._meta.label)
        relations = [field for field in model._meta.concrete_fields if isinstance(field, ForeignKey)]
        for number in range(len(CORPUS) if has_narrow else -(-len(CORPUS) // TOGETHER)):
            given = {field.name: self.one(target_of(field)) for field in relations if target_of(field) != model}
            self.row(model, **given | (more(number) if more else {}))

    def log(self, row: Model) -> None:
        """What the admin's log says of the row: as a sentence and in Django's own structure."""
        field = LogEntry._meta.get_field("change_message")
        words = self.text(field)
        said: list[str] = [words, json.dumps([{"changed": {"fields": [words], "name": words, "object": words}}])]
        for change_message in said:
            LogEntry.objects.create(
                user=self.visitor,
                content_type=ContentType.objects.get_for_model(type(row)),
                object_id=str(row.pk),
                object_repr=self.text(LogEntry._meta.get_field("object_repr")),
                action_flag=CHANGE,
                change_message=change_message,
            )

    # --- sessions, by the way of every session ---

    def sessions(self) -> None:
        """Three sessions, one of them private, with the corpus in every text of theirs; at the end of the last a run is under way
        and one waits.
        """
        owners = list(User.objects.exclude(pk=self.visitor.pk).order_by("pk")[:3])
        sessions = [ChatSession.objects.create(owner=owner, agent="researcher") for owner in owners]
        ChatSession.objects.filter(pk=sessions[1].pk).update(is_private=True)
        chosen = cycle(sessions)
        for number, first in enumerate(range(0, len(CORPUS), TOGETHER)):
            vectors = CORPUS[first : first + TOGETHER]
            self.run(next(chosen), vectors, failed=number % 3 == 2, shows=number % 5 != 4)
        self.unfinished(sessions[2])

    def unfinished(self, session: ChatSession) -> None:
        # Nobody lets go of it, so that no server takes it for lost.
        with override_settings(LEASE_SECONDS=DAY.total_seconds()):
            run = self.begin(session, CORPUS[:TOGETHER], shows=True)
        events.record_steps(str(run.pk), attempt=1, steps=[*self.steps(CORPUS[:TOGETHER])])
        self.accept(session, CORPUS[:TOGETHER], shows=True)

    def accept(self, session: ChatSession, vectors: list[str], *, shows: bool) -> None:
        agent = self.said(Run._meta.get_field("agent"), vectors[0])
        runs.accept(session.pk, message="\n\n".join(vectors), agent=agent, enable_reasoning=shows)

    def begin(self, session: ChatSession, vectors: list[str], *, shows: bool) -> Run:
        # At once, or a server would drive it.
        with transaction.atomic():
            self.accept(session, vectors, shows=shows)
            worker = self.said(Run._meta.get_field("worker"), vectors[-1])
            claimed = runs.claim(
                session.pk, worker=worker, model=self.said(Run._meta.get_field("model"), vectors[1 % len(vectors)])
            )
        assert claimed is not None
        return claimed.run

    def run(self, session: ChatSession, vectors: list[str], *, failed: bool, shows: bool) -> None:
        """A run, every text of which is of these vectors."""
        run = self.begin(session, vectors, shows=shows)
        *before, last = self.steps(vectors)
        events.record_steps(str(run.pk), attempt=1, steps=before, first_token_seconds=0.2)
        code = self.said(Run._meta.get_field("error_code"), vectors[0]) if failed else ""
        words = "\n\n".join(vectors)
        if failed:
            last = Step(number=last.number, type=StepType.ERROR, content=words, iteration=2, code=code)
        runs.finish(
            str(run.pk),
            attempt=1,
            state=RunState.FAILED if failed else RunState.COMPLETED,
            steps=[last],
            code=code,
            message=words if failed else "",
            model=self.said(Run._meta.get_field("model"), vectors[-1]),
        )

    def steps(self, vectors: list[str]) -> Iterator[Step]:
        """A thought, calls of tools that are called like the vectors and fail with them, and an answer."""
        numbers = count(1)
        words = "\n\n".join(vectors)
        usage = Usage(input_tokens=3, output_tokens=5, reasoning_tokens=1)
        yield Step(
            number=next(numbers), type=StepType.THOUGHT, content=words, iteration=1, reasoning=True, duration=0.5
        )
        for at, vector in enumerate(vectors):
            tool = self.said(Event._meta.get_field("tool_name"), vector)
            call = self.said(Event._meta.get_field("call_id"), vector)
            common: dict[str, Any] = {"iteration": 1, "tool_name": tool, "call_id": call}
            arguments = {vector: [vector, {vector: vector, "n": 1}], tool: tool}
            yield Step(number=next(numbers), type=StepType.TOOL_USE, content=words, arguments=arguments, **common)
            yield Step(
                number=next(numbers),
                type=StepType.TOOL_RESULT,
                content=self.said(Event._meta.get_field("content"), vector),
                is_error=at % 2 == 0,
                duration=0.1,
                **common,
            )
        yield Step(
            number=next(numbers), type=StepType.FINAL_ANSWER, content=words, iteration=2, usage=usage, duration=1
        )


def plant(visitor: str) -> None:
    """Plant everything for the visitor, a superuser; print where each text stands, the pages that there are and forms to answer."""
    rows = Hostile(User.objects.get(username=visitor))
    with transaction.atomic():
        rows.everything()
    pages, answers = list(admin_pages.pages(rows.visitor)), admin_pages.answers(rows.visitor)
    sys.stdout.write(json.dumps({"places": rows.places, "pages": pages, "answers": answers}) + "\n")
