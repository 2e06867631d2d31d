"""The end of a session: it goes with its runs, its events and whatever else hangs on it, and its sockets are closed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from chat import group, holds, personal
from chat.events import lock
from chat.models import ACTIVE, ChatSession, LegalHold, Run, RunState

UNFINISHED = (RunState.QUEUED, *ACTIVE)


@transaction.atomic
def delete_session(
    session_id: int, *, among: QuerySet[ChatSession] | None = None, also_unfinished: bool = False
) -> bool:
    """Delete a session for good; False where it is not there or `among` these any more, or has a run under way.

    Raises `holds.Held`. Whoever has called it tells its sockets with `tell_gone` when the transaction is committed.
    """
    try:
        session = lock(session_id)
    except ChatSession.DoesNotExist:
        return False
    row = ChatSession.objects.filter(pk=session_id)
    if among is not None and not among.filter(pk=session_id).exists():
        return False
    if not also_unfinished and Run.objects.filter(session=session, state__in=UNFINISHED).exists():
        return False
    if not holds.without_hold(row).exists():
        raise holds.Held(f"Session {session.public_id} is under a legal hold.")
    lifted = LegalHold.objects.filter(session=session)
    for rows in (row, Run.objects.filter(session=session), lifted):
        forget_quotes(rows)
    lifted.delete()
    session.delete()
    return True


def forget_quotes(rows: QuerySet[Any]) -> None:
    """Take what the admin's log quotes of rows that go out of it; that something was done, by whom and when, stays."""
    personal.entries_about(rows).update(object_repr="", change_message="")


async def tell_gone(session_ids: Iterable[int]) -> None:
    """Have the sockets of deleted sessions closed. Those that hear nothing find out with their next heartbeat."""
    for session_id in session_ids:
        await group.tell(group.of_session(session_id), {"type": "session.gone"})
