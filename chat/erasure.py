"""A user's erasure: all that the site has of them goes, in every table, cache and file. It cannot be undone.

Each step is a transaction of its own and can be done again: an erasure that was broken off is finished by the next.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from asgiref.sync import async_to_sync
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import connection, transaction
from django.db.models import Model, QuerySet
from django.db.utils import OperationalError

from chat import deletion, events, holds, personal, recovery, runs
from chat.models import ChatSession, Export, LegalHold, Run, RunState, SavedFilter

Say = Callable[[str], None]

LOOK_SECONDS = 0.1
# Beyond the lease of whoever drives a run: long enough for a process that lives to hear that it is to stop.
HEARING_SECONDS = 3.0


class Refused(Exception):
    """The user is not erased, and why."""


def check(user: Any) -> None:
    """Raises `Refused` where the user cannot be erased."""
    held = list(holds.on_user(user).select_related("session"))
    if held:
        what = [f"session {hold.session.public_id}" if hold.session else "the user" for hold in held]
        raise Refused(f"A legal hold keeps it from being erased, on {', '.join(sorted(set(what)))}. Lift it first.")
    others = get_user_model()._default_manager.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    if user.is_superuser and not others.exists():
        raise Refused("This is the only administrator. Make another one first.")


def found(user: Any) -> dict[str, int]:
    """What is there to erase: how many rows of which model."""
    counts = {model._meta.label: rows.count() for model, rows in personal.owned(user).items()}
    for model, field, rows in personal.named(user):
        counts[f"{model._meta.label} ({field} is emptied)"] = rows.count()
    return {label: count for label, count in counts.items() if count}


def erase(user: Any, say: Say) -> None:
    """Erase a user. Runs under way are stopped first; `say` is told what is done. Raises `Refused`."""
    check(user)
    _shut_out(user)
    say("Shut out: the account is deactivated and all its logins are ended.")
    if stopped := _stop_runs(user):
        say(f"Stopped {stopped} runs.")
    try:
        _delete_exports(user, Run.objects.none())
        _forget_quotes(user)
        _delete_jobs(user)
        if deleted := _delete_sessions(user):
            say(f"Deleted {deleted} sessions with all that was said in them.")
        for label, count in _delete_the_rest(user).items():
            say(f"Deleted {count} of {label}.")
    except holds.Held as held:
        raise Refused(
            f"{held} It was placed meanwhile. The account is deactivated; the rest is as far as it came."
        ) from None
    for alias in settings.CACHES:
        caches[alias].clear()
    say("Emptied the caches.")
    if not _wipe_file():
        say("The database's file may still hold what was deleted until somebody calls VACUUM: it is in use just now.")
    say("The user is erased.")


@transaction.atomic
def _shut_out(user: Any) -> None:
    user.is_active = False
    user.set_unusable_password()
    # Its signal has the user's sockets look, and close.
    user.save(update_fields=["is_active", "password"])
    personal.owned(user)[Session].delete()


def _stop_runs(user: Any) -> int:
    """Stop what is under way, and wait until it has ended, or until nobody can be at work on it any more."""
    unfinished = Run.objects.filter(session__owner=user.pk, state__in=deletion.UNFINISHED)
    stopped = 0
    # The latest first: one that waits would begin as soon as the one before it has ended.
    for session_id, run_id in list(unfinished.order_by("-session_id", "-seq").values_list("session_id", "pk")):
        runs.stop(session_id, str(run_id))
        stopped += 1
    until = time.monotonic() + settings.LEASE_SECONDS + settings.WATCH_SECONDS + HEARING_SECONDS
    while left := list(unfinished.order_by("session_id", "seq").values_list("session_id", "pk")):
        is_late = time.monotonic() > until
        for session_id, run_id in left:
            if is_late:
                _end(str(run_id))
            elif lost := recovery.stopped_and_abandoned(session_id):
                _end_lost(*lost)
        time.sleep(LOOK_SECONDS)
    return stopped


def _end_lost(run_id: str, attempt: int) -> None:
    try:
        recovery.take_over(run_id, attempt=attempt, worker="")
    except events.Superseded:
        return


@transaction.atomic
def _end(run_id: str) -> None:
    """End a run over the head of whoever drives it: from now on, that one is refused."""
    try:
        run = events.lock_run(run_id)
    except events.Superseded:
        return
    if not run.is_over:
        run.attempt += 1
        run.save(update_fields=["attempt"])
        runs.end(run, state=RunState.STOPPED, steps=())


def _delete_sessions(user: Any) -> int:
    deleted = 0
    sessions = ChatSession.objects.filter(owner=user.pk).order_by("pk")
    while ids := list(sessions.values_list("pk", flat=True)[:50]):
        _delete_exports(user, Run.objects.filter(session__in=ids))
        for session_id in ids:
            deleted += deletion.delete_session(session_id, also_unfinished=True)
        async_to_sync(deletion.tell_gone)(ids)
    return deleted


def _delete_exports(user: Any, erased: QuerySet[Run]) -> None:
    """Exports of others in which these runs are, or that were selected by the user's name: they say whom they are about."""
    gone = {pk.hex for pk in erased.order_by().values_list("pk", flat=True)}
    exports = Export.objects.order_by().values_list("pk", "runs", "described").iterator(chunk_size=100)
    found = [
        pk
        for pk, ids, described in exports
        if not gone.isdisjoint(str(one).replace("-", "") for one in ids)
        or any(_is_named(user, value.partition("=")[2]) for value in re.split(r", |: | with ", described))
    ]
    with transaction.atomic():
        deletion.forget_quotes(Export.objects.filter(pk__in=found))
        Export.objects.filter(pk__in=found).delete()


def _is_named(user: Any, value: str) -> bool:
    return value.casefold() in {name.casefold() for name in (user.get_username(), user.email) if name}


def _delete_jobs(user: Any) -> None:
    """Jobs of the user's runs that nobody is at. Those under way end by themselves: the runs are over."""
    if not apps.is_installed("procrastinate.contrib.django"):
        return
    from procrastinate.contrib.django.models import ProcrastinateJob

    waiting = personal.owned(user)[ProcrastinateJob].exclude(status="doing")
    ids = list(waiting.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        # Its models can only be read.
        cursor.execute("DELETE FROM procrastinate_jobs WHERE id = ANY(%s)", [ids])


@transaction.atomic
def _delete_the_rest(user: Any) -> dict[str, int]:
    """The account, and all that hangs on it or names it. Returns how many rows of which model are gone."""
    # Held until the end: whoever places a hold or begins a session waits, and then finds nobody.
    get_user_model()._default_manager.select_for_update().get(pk=user.pk)
    check(user)
    _forget_quotes(user)
    LegalHold.objects.filter(user=user.pk).delete()
    _delete_filters_for(user)
    counts: dict[str, int] = {}
    for model, rows in personal.owned(user).items():
        if model is not get_user_model() and _can_be_deleted(model):
            for label, count in rows.delete()[1].items():
                counts[label] = counts.get(label, 0) + count
    for label, count in user.delete()[1].items():
        counts[label] = counts.get(label, 0) + count
    return {label: count for label, count in counts.items() if count}


def _forget_quotes(user: Any) -> None:
    for rows in personal.owned(user).values():
        deletion.forget_quotes(rows)


def _can_be_deleted(model: type[Model]) -> bool:
    """Not what goes with its session, and not Procrastinate's, which is no model of ours to write."""
    return bool(model._meta.managed) and not model._meta.auto_created and model._meta.label != "chat.Event"


def _delete_filters_for(user: Any) -> None:
    """Saved filters of others that look for this user by name, address or number."""
    for saved in SavedFilter.objects.exclude(owner=user.pk).iterator(chunk_size=500):
        values = parse_qsl(saved.query, keep_blank_values=True)
        if any(_is_named(user, value) or ("owner" in key and value == str(user.pk)) for key, value in values):
            deletion.forget_quotes(SavedFilter.objects.filter(pk=saved.pk))
            saved.delete()


def _wipe_file() -> bool:
    """SQLite leaves what was deleted in its file, and in the journal beside it, until that is written anew. False where others
    use it just now.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return True
    try:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            busy = cursor.fetchone()[0]
    except OperationalError:
        return False
    return not busy
