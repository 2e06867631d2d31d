"""What one user may do at a time, counted in the database and so over all servers: sockets, messages, runs, tokens.

Each check holds the user's row until its transaction ends: of two servers that ask at once, one sees what the other let in.
Who holds a session as well has locked that first.
"""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from chat import processes
from chat.events import now_of
from chat.models import ACTIVE, ChatSession, DailyUsage, OpenSocket, Process, Run, RunState
from chat.protocol import Code, Refused

MINUTE = timedelta(minutes=1)
# Nobody knows when a run will end; these bound what is said about it.
SHORTEST_SECONDS = 5
LONGEST_SECONDS = 60
# What a client does well to wait where the database is away, which is over when it is over.
DATABASE_AWAY_SECONDS = 2


def open_socket(socket_id: uuid.UUID, process: str, *, user_id: int) -> None:
    """Count a socket as the user's, where there is a limit; where there is none, sockets also open while nothing can be written.

    Raises `Refused` where there are too many, and `processes.Unannounced`.
    """
    if settings.SOCKETS_PER_USER:
        _count_socket(socket_id, process, user_id=user_id)


def too_many_sockets() -> Refused:
    """Said to whoever has as many open as they may."""
    # By then, those of a server that has died no longer count.
    wait = processes.DEAD_AFTER * settings.PROCESS_SECONDS
    return _refused(f"You have as many connections open as you may ({settings.SOCKETS_PER_USER}); close some", wait)


@transaction.atomic
def _count_socket(socket_id: uuid.UUID, process: str, *, user_id: int) -> None:
    _hold(user_id)
    held = OpenSocket.objects.filter(user_id=user_id, process__in=processes.living())
    if held.count() >= settings.SOCKETS_PER_USER:
        raise too_many_sockets()
    if not Process.objects.filter(pk=process).exists():
        raise processes.Unannounced(process)
    OpenSocket.objects.create(pk=socket_id, process_id=process, user_id=user_id, opened_at=Now())


def check_message(session: ChatSession) -> None:
    """Raises `Refused` where the session's owner may not send another message now. Must be called in a transaction that
    holds the session.
    """
    if settings.MESSAGES_PER_MINUTE or settings.ACTIVE_RUNS_PER_USER or settings.TOKENS_PER_DAY:
        _hold(session.owner_id)
        _check_tokens(session)
        _check_runs(session)
        _check_minute(session)


def queue_full(session: ChatSession) -> Refused:
    """The session's queue has no room."""
    active = Run.objects.filter(session=session, state__in=ACTIVE).values_list("started_at", flat=True).first()
    age = LONGEST_SECONDS if active is None else (now_of(session) - active).total_seconds()
    return _refused(
        f"{settings.QUEUE_LIMIT} messages wait already; send again when one has run",
        min(max(age, SHORTEST_SECONDS), LONGEST_SECONDS),
        Code.QUEUE_FULL,
    )


def too_many_frames() -> Refused:
    """The socket sends too much. After the wait it may send as much at once as a new one."""
    wait = settings.FRAMES_AT_ONCE / settings.FRAMES_PER_SECOND
    return _refused("Too many frames; connect again and send less at once", wait, Code.RATE_LIMITED)


def not_saved() -> Refused:
    """The database did not take a command."""
    return _refused("Not saved: the database does not answer", DATABASE_AWAY_SECONDS, Code.NOT_SAVED)


def _hold(user_id: int) -> None:
    get_user_model().objects.select_for_update(no_key=True).values_list("pk").get(pk=user_id)


def _check_tokens(session: ChatSession) -> None:
    if not settings.TOKENS_PER_DAY:
        return
    now = now_of(session).astimezone(UTC)
    today = DailyUsage.objects.filter(user_id=session.owner_id, day=now.date())
    used = today.annotate(tokens=F("input_tokens") + F("output_tokens")).values_list("tokens", flat=True).first()
    if used is not None and used >= settings.TOKENS_PER_DAY:
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
        limit = f"{settings.TOKENS_PER_DAY:,}"
        raise _refused(f"Your {limit} tokens for today are used up; there are new ones at 0:00 UTC", midnight - now)


def _check_runs(session: ChatSession) -> None:
    limit = settings.ACTIVE_RUNS_PER_USER
    unfinished = Run.objects.filter(state__in=(RunState.QUEUED, *ACTIVE))
    if not limit or unfinished.filter(session=session).exists():
        return
    mine = unfinished.filter(session__owner_id=session.owner_id).order_by()
    found = list(mine.values_list("session_id", "started_at"))
    if len({session_id for session_id, _ in found}) < limit:
        return
    # The mean age of what is under way is what it will still take on average; with so many, the first ends sooner.
    ages = [(now_of(session) - started_at).total_seconds() for _, started_at in found if started_at is not None]
    estimate = sum(ages) / len(ages) ** 2 if ages else LONGEST_SECONDS
    raise _refused(
        f"{limit} of your sessions are being answered already; ask again when one is done",
        min(max(estimate, SHORTEST_SECONDS), LONGEST_SECONDS),
    )


def _check_minute(session: ChatSession) -> None:
    limit = settings.MESSAGES_PER_MINUTE
    if not limit:
        return
    since = now_of(session) - MINUTE
    # A session in which something was sent has changed since: of the others, none is looked at.
    sent = Run.objects.filter(
        session__owner_id=session.owner_id, session__updated_at__gt=since, created_at__gt=since
    ).order_by("-created_at")
    # Once the last message but `limit` is a minute old, there is room for one.
    in_the_way = list(sent.values_list("created_at", flat=True)[limit - 1 : limit])
    if in_the_way:
        raise _refused(f"You may send {limit} message{'' if limit == 1 else 's'} a minute", in_the_way[0] - since)


def _refused(why: str, wait: timedelta | float, code: Code = Code.LIMIT_REACHED) -> Refused:
    seconds = max(1, math.ceil(wait.total_seconds() if isinstance(wait, timedelta) else wait))
    return Refused(code, f"{why}. Try again in {spelled(seconds)}.", retry_after=seconds)


def spelled(seconds: int) -> str:
    """A wait in words, never shorter than it is."""
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds > 2 * length:
            return f"{math.ceil(seconds / length)} {unit}s"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
