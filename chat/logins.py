"""Who sits behind a socket. A login is checked anew each time: Channels would freeze it at the handshake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.module_loading import import_string

from chat import group


def user_of(session_key: str) -> AbstractBaseUser | None:
    """The user who is signed in under a login session, or None: signed out, expired, deactivated, password changed."""
    store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    user = get_user(cast(HttpRequest, SimpleNamespace(session=store(session_key))))
    return user if user.is_authenticated and user.is_active else None


@dataclass(frozen=True, slots=True)
class Standing:
    """A login that Django has accepted, and what it was accepted by: for as long as that is the same and the user is active, it
    would accept it again.
    """

    user_id: int
    data: str | None
    password: str

    def is_as(self, data: str | None, password: str | None) -> bool:
        """Whether this is what it was accepted by."""
        return data is not None and (data, password) == (self.data, self.password)


def accept(session_key: str) -> tuple[AbstractBaseUser, Standing] | None:
    """The user who is signed in under a login session, as `user_of`, and what they were accepted by."""
    # Read before Django does: should it change in between, it is found changed with the next look.
    data = _sessions([session_key]).get(session_key)
    user = user_of(session_key)
    return None if user is None else (user, Standing(user.pk, data, user.password))


def standing(known: Mapping[str, Standing | None]) -> dict[str, Standing | None]:
    """Which of these login sessions stand, given what each was last accepted by: in two queries where nothing has changed.

    Whatever has changed, Django is asked about.
    """
    data = _sessions(known)
    users = get_user_model().objects.filter(pk__in={one.user_id for one in known.values() if one}, is_active=True)
    passwords = dict(users.values_list("pk", "password"))
    found: dict[str, Standing | None] = {}
    for key, before in known.items():
        if before is not None and before.is_as(data.get(key), passwords.get(before.user_id)):
            found[key] = before
            continue
        accepted = accept(key)
        found[key] = None if accepted is None else accepted[1]
    return found


def _sessions(keys: Iterable[str]) -> dict[str, str]:
    """The data of those login sessions that there are."""
    sessions = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return dict(sessions.values_list("session_key", "session_data"))


def forget_expired() -> None:
    """Remove the login sessions that have expired; Django leaves that to the site."""
    store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    store.clear_expired()


def is_active(user_id: int) -> bool:
    """Whether the user may sign in."""
    return get_user_model().objects.filter(pk=user_id, is_active=True).exists()


def fingerprint(session_key: str) -> str:
    """Names a login without giving it away to whoever reads the channel layer."""
    return salted_hmac("chat.logins", session_key).hexdigest()


def on_logged_out(*, request: HttpRequest, user: AbstractBaseUser | None, **_: Any) -> None:
    """Close the sockets of a login that ends. Called before its session is gone, so they can't look for themselves."""
    key = request.session.session_key
    if user is not None and key:
        _tell(user.pk, {"type": "login.ended", "login": fingerprint(key)})


def on_user_saved(*, instance: AbstractBaseUser, update_fields: frozenset[str] | None, **_: Any) -> None:
    """Let the user's sockets look whether they may still be open: the user may be deactivated or have a new password."""
    if update_fields == frozenset({"last_login"}):
        return  # Somebody signs in.
    _tell(instance.pk, {"type": "login.changed"})


def on_rights_changed(*, instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, **_: Any) -> None:
    """Let those who have other rights now, or are in another group, look whether they may still read what they watch."""
    if action not in ("post_add", "post_remove", "post_clear"):
        return
    if isinstance(instance, Group) and not reverse:
        users: Iterable[Any] = get_user_model().objects.filter(groups=instance).values_list("pk", flat=True)
    elif isinstance(instance, get_user_model()):
        users = [instance.pk]
    else:
        # Put into a group or taken out of it from its side; who was there before it was emptied is not told any more.
        users = pk_set or () if isinstance(instance, Group) else ()
    for user in users:
        _tell(user, {"type": "login.changed"})


def _tell(user_id: object, message: dict[str, Any]) -> None:
    # A form of the admin saves in a transaction: who looks before its end sees nothing new.
    transaction.on_commit(lambda: async_to_sync(group.tell)(group.of_user(user_id), message))
