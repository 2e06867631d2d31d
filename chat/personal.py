"""What the site has of a user, in every table: found by looking at the models, so that a new one is not forgotten.

A row is the user's own where it would go with the account (`owned`), over any number of relations, and where a table names users
without a relation (`_LOOSE`). A row that only names them (`named`: who placed a hold, who read a transcript) stays without the
name when they go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db.models import SET_NULL, Model, Q, QuerySet

from chat.models import Run

Models = type[Model]


def owned(user: Any) -> dict[Models, QuerySet[Any]]:
    """The rows that are the user's own, by their models, the account itself first."""
    found: dict[Models, Q] = {get_user_model(): Q(pk=user.pk)}
    found.update((model, condition(user)) for model, condition in _loose().items())
    ways: dict[Models, set[tuple[str, Models]]] = {model: {("", model)} for model in found}
    todo = list(found)
    while todo:
        target = todo.pop(0)
        for model, field in _references(target):
            if field.remote_field.on_delete is SET_NULL or model is target:
                continue
            new = {(f"{field.name}__{path}".rstrip("_"), origin) for path, origin in ways[target]}
            if not new <= ways.get(model, set()):
                ways[model] = ways.get(model, set()) | new
                todo.append(model)
    return {
        model: model._base_manager.filter(
            reduce(or_, (_at(path, origin, found[origin]) for path, origin in sorted(paths, key=str)))
        )
        for model, paths in ways.items()
    }


def named(user: Any) -> list[tuple[Models, str, QuerySet[Any]]]:
    """The rows that name the user and are not theirs: model, field and rows."""
    return [
        (model, field.name, model._base_manager.filter(**{field.name: user.pk}))
        for model, field in _references(get_user_model())
        if field.remote_field.on_delete is SET_NULL
    ]


def _references(target: Models) -> Iterator[tuple[Models, Any]]:
    """Models with a relation to this one, and the field."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.concrete_fields:
            if field.is_relation and field.related_model is target:
                yield model, field


def _at(path: str, origin: Models, condition: Q) -> Q:
    """The condition, of rows that are this path away from the model that it is about."""
    return Q(**{f"{path}__in": origin._base_manager.filter(condition).values("pk")}) if path else condition


# --- where a table names users without a relation ---------------------------------------------------------------------


def _loose() -> dict[Models, Callable[[Any], Q]]:
    loose: dict[Models, Callable[[Any], Q]] = {
        AccessAttempt: _tried,
        AccessFailureLog: _tried,
        AccessLog: _tried,
        Session: _signed_in,
    }
    if apps.is_installed("procrastinate.contrib.django"):
        from procrastinate.contrib.django.models import ProcrastinateJob

        loose[ProcrastinateJob] = _queued
    return loose


def _tried(user: Any) -> Q:
    """Sign-ins under the user's name or address, however spelled; not those under what is exactly another user's name, or under an
    address that another user has as well: nobody has shown that it is theirs.
    """
    others = get_user_model()._default_manager.exclude(pk=user.pk)
    names = [user.get_username()]
    if user.email and not others.filter(email__iexact=user.email).exists():
        names.append(user.email)
    tried = reduce(or_, (Q(username__iexact=name) for name in names))
    taken = others.filter(tried).values_list("username", flat=True)
    return tried & ~Q(username__in=list(taken))


def _signed_in(user: Any) -> Q:
    """The user's logins. What a login holds is packed: all are looked through."""
    found = Session.objects.iterator(chunk_size=1000)
    return Q(pk__in=[login.pk for login in found if login.get_decoded().get("_auth_user_id") == str(user.pk)])


def _queued(user: Any) -> Q:
    """Jobs of the user's runs."""
    runs = Run.objects.filter(session__owner=user.pk).order_by().values_list("pk", flat=True)
    return Q(queueing_lock__in=[str(pk) for pk in runs])


# --- the admin's own log ----------------------------------------------------------------------------------------------


def entries_about(rows: QuerySet[Any]) -> QuerySet[LogEntry]:
    """The entries of the admin's log about these rows: they quote them."""
    kind = ContentType.objects.get_for_model(rows.model, for_concrete_model=False)
    entries = LogEntry.objects.filter(content_type=kind)
    written = {text for text in entries.order_by().values_list("object_id", flat=True).distinct() if text}
    keys = {text: key for text in written if (key := _key(rows.model, text)) is not None}
    there = set(rows.filter(pk__in=keys.values()).values_list("pk", flat=True)) if keys else set()
    return entries.filter(object_id__in=[text for text, key in keys.items() if key in there])


def _key(model: Models, text: str) -> Any:
    try:
        return model._meta.pk.to_python(text)
    except Exception:  # noqa: BLE001 - the log has what somebody once wrote there; what is no key names no row
        return None
