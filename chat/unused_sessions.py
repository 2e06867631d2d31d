"""Sessions in which nothing was ever said. Every look at an empty page makes one; of each user only the latest are kept."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet

from chat import deletion, holds
from chat.models import ChatSession

BATCH = 20


def of_user(user_id: int) -> QuerySet[ChatSession]:
    """The user's unused sessions, the latest first. One that has a title, is marked private or held has been used."""
    found = ChatSession.objects.filter(owner_id=user_id, head=0, title="", is_private=False)
    return holds.without_hold(found).order_by("-updated_at", "-pk")


def delete_oldest(user_id: int) -> list[int]:
    """Delete some of those beyond twice as many as the user may have sockets, so that none is in use; returns their ids. Where
    sockets have no limit, nothing is deleted.
    """
    if not settings.SOCKETS_PER_USER:
        return []
    kept = 2 * settings.SOCKETS_PER_USER
    found = of_user(user_id).values_list("pk", flat=True)[kept : kept + BATCH]
    return [pk for pk in found if deletion.delete_session(pk, among=of_user(user_id))]
