"""Looking through a user's own earlier sessions, for the tool that does so."""

from __future__ import annotations

from django.db.models import Q

from agents.context import Excerpt
from agents.steps import StepType
from chat.models import Event, EventType

EXCERPT_LENGTH = 300
WORDS = 10
CANDIDATES = 200


def search(owner_id: int, query: str, limit: int, *, except_session: int) -> list[Excerpt]:
    """The user's other sessions that hold every word of the query in a message or an answer: the latest place of each."""
    words = query.split()[:WORDS]
    if not words:
        return []
    said = Q(type=EventType.MESSAGE) | Q(step_type=StepType.FINAL_ANSWER)
    events = Event.objects.filter(said, session__owner_id=owner_id).exclude(session_id=except_session)
    for word in words:
        events = events.filter(content__icontains=word)
    found: dict[int, Excerpt] = {}
    for event in events.select_related("session").order_by("-created_at")[:CANDIDATES]:
        if event.session_id not in found:
            found[event.session_id] = Excerpt(
                session_id=event.session.public_id,
                title=str(event.session),
                when=event.created_at.isoformat(timespec="seconds"),
                text=_around(event.content, words[0]),
            )
        if len(found) == limit:
            break
    return list(found.values())


def _around(content: str, word: str) -> str:
    """The place of the word, cut at spaces."""
    if len(content) <= EXCERPT_LENGTH:
        return content
    at = content.lower().find(word.lower())
    start = max(0, min(at - EXCERPT_LENGTH // 3, len(content) - EXCERPT_LENGTH))
    cut = content[start : start + EXCERPT_LENGTH]
    if start > 0:
        cut = "… " + cut.partition(" ")[2]
    if start + EXCERPT_LENGTH < len(content):
        cut = cut.rpartition(" ")[0] + " …"
    return cut
