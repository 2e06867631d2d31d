"""Who may read another user's transcript, and the record of who did."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from chat.models import ChatSession, Reading

# Parts of a page that is open, which come one by one, are one reading; who looks again after so long reads again.
SAME_READING = timedelta(hours=1)


def readable_by(user: Any) -> QuerySet[ChatSession]:
    """The sessions that somebody may read in the admin: without the right to read private ones, those are left out, but for one's
    own.
    """
    sessions = ChatSession.objects.all()
    if not (user.is_active and user.is_staff and user.has_perm("chat.view_chatsession")):
        return sessions.none()
    if user.has_perm("chat.read_private"):
        return sessions
    return sessions.filter(Q(is_private=False) | Q(owner_id=user.pk))


def record(reader: Any, sessions: Iterable[ChatSession], how: Reading.How, *, run_id: uuid.UUID | None = None) -> None:
    """Record that somebody read these sessions, or took them out; one's own are nobody else's business."""
    Reading.objects.bulk_create(
        Reading(how=how, reader=reader, owner_id=session.owner_id, session=session, run_id=run_id)
        for session in sessions
        if session.owner_id != reader.pk
    )


def record_once(reader: Any, session: ChatSession) -> None:
    """Record that somebody reads on in a session, unless the reading is recorded already."""
    if session.owner_id == reader.pk:
        return
    since = timezone.now() - SAME_READING
    read = Reading.objects.filter(reader=reader, session=session, how=Reading.How.READ, at__gte=since)
    if not read.exists():
        record(reader, [session], Reading.How.READ)
