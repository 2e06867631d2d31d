"""The only way to get a session for a user. Somebody else's session is answered as one that does not exist."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from chat.models import ChatSession


class NotYours(Exception):
    """The session belongs to somebody else, or there is nobody signed in who could own it."""


Visitor = AbstractBaseUser | AnonymousUser


def sessions_of(user: Visitor) -> QuerySet[ChatSession]:
    """The user's sessions, the latest first; none for somebody who is not signed in."""
    if not user.is_authenticated or not user.is_active:
        return ChatSession.objects.none()
    return ChatSession.objects.filter(owner_id=user.pk)


def get_session(user: Visitor, public_id: str) -> ChatSession | None:
    """The user's session with that id, or None where nobody has used the id yet. Raises `NotYours`."""
    if user.pk is None or not user.is_authenticated or not user.is_active:
        raise NotYours(public_id)
    session = ChatSession.objects.filter(public_id=public_id).first()
    if session is not None and session.owner_id != user.pk:
        raise NotYours(public_id)
    return session


def open_session(user: Visitor, public_id: str, *, agent: str) -> ChatSession:
    """The user's session with that id, made on first use, set to an agent.

    Raises `NotYours`; of two users who come first at once, one wins.
    """
    session = get_session(user, public_id)
    if session is None:
        try:
            with transaction.atomic():
                owner: Any = user
                return ChatSession.objects.create(public_id=public_id, owner=owner, agent=agent)
        except IntegrityError:
            session = get_session(user, public_id)
            if session is None:
                raise
    if session.agent != agent:
        session.agent = agent
        session.save(update_fields=["agent"])
    return session
