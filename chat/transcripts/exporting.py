"""Exports that somebody asked for in the admin: made once, and read part by part by their owner alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils import timezone

from chat import readings
from chat.models import ChatSession, Export, Reading
from chat.transcripts.form import About, Form
from chat.transcripts.forms import FORMS
from chat.transcripts.parts import Cursor, Part, read_part
from chat.transcripts.selection import MOST_RUNS, Selection, ids_of, last_event, runs_of

PERMISSION = "chat.export_transcripts"
# A part that is fetched again soon is no second reading.
SAME_READING = timedelta(hours=1)


def selected(rows: QuerySet[Any], reader: Any) -> list[str]:
    """Ids of the runs that these sessions, runs or events are about and that the reader may read: one more than `MOST_RUNS` where
    there are more.
    """
    return ids_of(runs_of(rows).filter(session__in=readings.readable_by(reader).order_by())[: MOST_RUNS + 1])


def begin(owner: Any, ids: list[str], *, form: str, described: str) -> Export:
    """Fix a selection."""
    return Export.objects.create(
        owner=owner, format=form, runs=ids[:MOST_RUNS], last_event=last_event(), described=described
    )


def exports_of(user: Any) -> QuerySet[Export]:
    """The user's own exports, while they may take transcripts out."""
    if not (user.is_active and user.is_staff and user.has_perm(PERMISSION)):
        return Export.objects.none()
    return Export.objects.filter(owner_id=user.pk)


def selection_of(export: Export) -> Selection:
    about = About(runs=len(export.runs), described=export.described, at=export.created_at)
    return Selection(runs=export.runs, last_event=export.last_event, reader=export.owner, about=about)


def form_of(export: Export) -> Form:
    return FORMS[export.format]


def part_of(export: Export, at: Cursor) -> Part:
    """A part of an export, with what its owner may read now. Whose transcripts are in it is recorded before it is returned.

    Raises `PermissionDenied` where the owner may take nothing out any more.
    """
    # Read anew: a file takes minutes, and rights may be taken away meanwhile.
    owner = get_user_model()._default_manager.filter(pk=export.owner_id).first()
    if owner is None or not exports_of(owner).filter(pk=export.pk).exists():
        raise PermissionDenied
    export.owner = owner
    part = read_part(selection_of(export), form_of(export), at)
    _record(export.owner, part.sessions.values())
    return part


def _record(reader: Any, sessions: Iterable[ChatSession]) -> None:
    others = [session for session in sessions if session.owner_id != reader.pk]
    known = Reading.objects.filter(
        reader=reader,
        how=Reading.How.EXPORTED,
        at__gte=timezone.now() - SAME_READING,
        session__in=[session.pk for session in others],
    )
    before = set(known.values_list("session_id", flat=True)) if others else set()
    fresh = [session for session in others if session.pk not in before]
    if fresh:
        readings.record(reader, fresh, Reading.How.EXPORTED)
