"""Applies the retention rules by itself, in every process that drives runs: once in `RETENTION_SECONDS`, in one of them. With
them go the login sessions that have expired.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import DateTimeField, ExpressionWrapper
from django.db.models.functions import Now

from chat import deletion, logins, retention
from chat.database import query, write
from chat.models import Chore
from chat.sweeper import survived

logger = logging.getLogger(__name__)

RETENTION = "retention"
LONGEST_PAUSE_SECONDS = 60.0
NEVER = datetime(2000, 1, 1, tzinfo=UTC)


def begin() -> bool:
    """Whether it is time for the rules, and this process the one that applies them: of many who ask at once, one is told so."""
    Chore.objects.bulk_create([Chore(name=RETENTION, begun_at=NEVER)], ignore_conflicts=True)
    last = ExpressionWrapper(Now() - timedelta(seconds=settings.RETENTION_SECONDS), output_field=DateTimeField())
    mine = Chore.objects.filter(name=RETENTION, begun_at__lt=last)
    return bool(mine.update(begun_at=Now(), ended_at=None, said=""))


def end(deleted: int) -> None:
    """Record that the rules were applied, and what came of it."""
    Chore.objects.filter(name=RETENTION).update(ended_at=Now(), said=f"{deleted} sessions deleted")


async def keep() -> None:
    """Look again and again whether it is time, until cancelled."""
    while settings.RETENTION_SECONDS:
        await asyncio.sleep(min(settings.RETENTION_SECONDS, LONGEST_PAUSE_SECONDS))
        with survived("apply the retention rules"):
            if await write(begin):
                await write(logins.forget_expired)
                await write(end, await _apply())


async def _apply() -> int:
    deleted = 0
    in_vain: tuple[int, ...] = ()
    while found := await query(retention.batch, in_vain):
        # Each by itself: what users write meanwhile comes in between.
        gone = [session_id for session_id in found if await write(retention.delete_if_due, session_id)]
        in_vain += tuple(set(found) - set(gone))
        await deletion.tell_gone(gone)
        deleted += len(gone)
    if deleted:
        logger.info("Deleted %d sessions that were older than their rules say", deleted)
    return deleted
