"""Legal holds: what they keep from being deleted."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from chat.models import ChatSession, LegalHold


class Held(Exception):
    """A hold keeps it from being deleted."""


def standing() -> QuerySet[LegalHold]:
    """The holds that are not lifted."""
    return LegalHold.objects.filter(lifted_at=None)


def without_hold(sessions: QuerySet[ChatSession]) -> QuerySet[ChatSession]:
    """Those of the sessions that may be deleted."""
    holds = standing().order_by()
    held = Exists(holds.filter(session=OuterRef("pk"))) | Exists(holds.filter(user=OuterRef("owner")))
    return sessions.exclude(held)


def on_user(user: Any) -> QuerySet[LegalHold]:
    """The holds that stand against the user's erasure: their own, and those on a session of theirs."""
    return standing().filter(Q(user=user.pk) | Q(session__owner=user.pk))
