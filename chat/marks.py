"""What a user marks in a session: what to think of an answer, and that the session is private. It is in no log: only how it
stands now counts, and the last word holds.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final

from django.db import transaction

from agents.steps import StepType
from chat import events, protocol
from chat.models import ChatSession, Event, Run
from chat.models import Feedback as Row
from chat.protocol import Code, Refused

# How many thumbs one frame tells of.
PAGE: Final = 100
THUMBS: Final = {"up": Row.UP, "down": Row.DOWN}
WORDS: Final = {thumb: word for word, thumb in THUMBS.items()}


@transaction.atomic
def record(session_id: int, command: protocol.Feedback | protocol.Private) -> None:
    """Record how something is marked from now on. Raises `Refused` where the run is not one of this session, or has not ended with
    an answer.
    """
    session = events.lock(session_id)
    match command:
        case protocol.Private():
            ChatSession.objects.filter(pk=session.pk).update(is_private=command.is_private)
        case protocol.Feedback():
            run = _run_of(session, command.run_id)
            now = events.now_of(session)
            if command.thumb is None:
                Row.objects.filter(run=run).delete()
                return
            if not run.is_over or not Event.objects.filter(run=run, step_type=StepType.FINAL_ANSWER).exists():
                raise Refused(Code.NO_ANSWER, "There is no answer yet to think something of.")
            said = {"thumb": THUMBS[command.thumb], "comment": command.comment.strip(), "updated_at": now}
            Row.objects.update_or_create(run=run, defaults=said, create_defaults={**said, "created_at": now})


def all_of(session_id: int) -> list[str]:
    """The frames that tell all that is marked in a session."""
    return list(_frames(session_id))


def _frames(session_id: int) -> Iterator[str]:
    is_private = _is_private(session_id)
    rows = [_said(row) for row in Row.objects.filter(run__session_id=session_id).order_by("run__seq")]
    for start in range(0, max(len(rows), 1), PAGE):
        yield protocol.marks(is_private=is_private, feedback=rows[start : start + PAGE], is_all=start == 0)


def changed(session_id: int, run_id: str | None) -> str:
    """The frame that tells how the session is marked now, and the run, where it is about one."""
    feedback: list[dict[str, Any]] = []
    if run_id is not None:
        row = Row.objects.filter(run__session_id=session_id, run_id=uuid.UUID(run_id)).first()
        feedback = [_said(row) if row is not None else {"run_id": run_id, "thumb": None, "comment": ""}]
    return protocol.marks(is_private=_is_private(session_id), feedback=feedback, is_all=False)


def _is_private(session_id: int) -> bool:
    return ChatSession.objects.values_list("is_private", flat=True).get(pk=session_id)


def _said(row: Row) -> dict[str, str | None]:
    return {"run_id": str(row.run_id), "thumb": WORDS[row.thumb], "comment": row.comment}


def _run_of(session: ChatSession, run_id: str) -> Run:
    try:
        return Run.objects.get(pk=uuid.UUID(run_id), session=session)
    except (Run.DoesNotExist, ValueError):
        raise Refused(Code.UNKNOWN_RUN, "There is no such message in this session.") from None
