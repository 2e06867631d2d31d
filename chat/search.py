"""Looking through a user's own earlier sessions, for the tool that does so."""

from __future__ import annotations

from agents.context import Excerpt
from chat.models import Event

EXCERPT_LENGTH = 300


def search(owner_id: int, query: str, limit: int, *, except_session: int) -> list[Excerpt]:
    """The latest places in the user's other sessions that hold every word of the query."""
    words = query.split()[:10]
    if not words:
        return []
    events = Event.objects.filter(session__owner_id=owner_id).exclude(session_id=except_session)
    for word in words:
        events = events.filter(content__icontains=word)
    return [
        Excerpt(
            session_id=event.session.public_id,
            title=str(event.session),
            when=event.created_at.isoformat(timespec="seconds"),
            text=_around(event.content, words[0]),
        )
        for event in events.select_related("session").order_by("-created_at")[:limit]
    ]


def _around(content: str, word: str) -> str:
    at = content.lower().find(word.lower())
    start = max(0, at - EXCERPT_LENGTH // 3)
    return content[start : start + EXCERPT_LENGTH]
