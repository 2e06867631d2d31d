"""What stands in the cells of the lists."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from chat.models import Feedback

NONE = "–"


def transcript_url(session_id: int, seq: int | None = None) -> str:
    """Where a session is read, at the event of this number; its row's own page where there is no other."""
    try:
        address = reverse("admin:chat_transcript", args=[session_id])
    except NoReverseMatch:
        return reverse("admin:chat_chatsession_change", args=[session_id])
    return address if seq is None else f"{address}#step-{seq}"


def link(address: str, text: object) -> str:
    return format_html('<a href="{}">{}</a>', address, text)


def span(length: timedelta | float | None) -> str:
    """In seconds up to two minutes."""
    if length is None:
        return NONE
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def count(number: int | None) -> str:
    return f"{number:,}" if number else NONE


def dollars(cost: Decimal | None) -> str:
    if cost is None:
        return NONE
    return f"${cost:,.2f}" if cost >= 1 else f"${cost:.4f}"


def thumbs(*, up: int, down: int) -> str:
    words = [f"{number} {name}" for number, name in ((up, "up"), (down, "down")) if number]
    return ", ".join(words) or NONE


def thumb(feedback: Feedback | None) -> str:
    if feedback is None:
        return NONE
    word = "up" if feedback.thumb == Feedback.UP else "down"
    return f"{word}, with a comment" if feedback.comment else word
