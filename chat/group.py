"""The groups: everyone who watches a session, every socket of a user, whoever drives a session's run.

What is told here may be lost, doubled or reordered: it only announces what the log has. So nothing here raises; a layer that
fails or is too slow is logged, and the answer is False.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings

from chat import metrics

logger = logging.getLogger(__name__)

# A layer that has just failed is not tried for so long: each try may cost `LAYER_SECONDS`, and every token would try.
AWAY_SECONDS = 0.5

# What is told when the layer takes messages again to every group that something could not be told.
MISSED = {"type": "missed"}

_losses = 0
_not_told: set[str] = set()
_away_until = 0.0
_is_away = False

# Names are made of our own ids: a client's words never name a group.

# Every process that has sockets.
EVERYONE = "everyone"


def of_session(session_id: int) -> str:
    """Everyone who watches a session."""
    return f"session.{session_id}"


def of_user(user_id: object) -> str:
    """All sockets of a user."""
    return f"user.{user_id}"


def of_driver(session_id: int) -> str:
    """Whoever drives the session's run."""
    return f"driver.{session_id}"


async def tell_draft(session_id: int, text: str, *, at: float, after: int) -> bool:
    """Send a delta to everyone who watches; `at` is the wall clock's time when its oldest token came, `after` the `seq` of what
    was announced before it: who did not hear that reads the log. False where the layer failed or was too slow.
    """
    return await mention(of_session(session_id), {"type": "draft", "text": text, "at": at, "after": after})


async def tell(group: str, message: dict[str, Any]) -> bool:
    """Send news to a group; False where the layer failed or was too slow. The group is then told that it missed something, as
    soon as the layer answers again (`layer_answers`): only this process knows.
    """
    was_told = await mention(group, message)
    if not was_told:
        _not_told.add(group)
    return was_told


async def mention(group: str, message: dict[str, Any]) -> bool:
    """Send to a group what is said or asked again anyway; False where the layer failed or was too slow."""
    was_told = await _attempt(f"telling {group}", get_channel_layer().group_send(group, message))
    if not was_told:
        metrics.announcement_dropped()
    return was_told


async def reply(channel: str, message: dict[str, Any]) -> bool:
    """Send to one channel; False where the layer failed or was too slow."""
    return await _attempt("replying", get_channel_layer().send(channel, message))


async def join(group: str, channel: str) -> bool:
    """Add a channel to a group; False where the layer failed or was too slow."""
    return await _attempt(f"joining {group}", get_channel_layer().group_add(group, channel))


async def leave(group: str, channel: str) -> bool:
    """Remove a channel from a group; False where the layer failed or was too slow.

    Also while it is away: nobody else will do it, and the process would go on hearing, for good, what no socket here reads.
    """
    return await _attempt(f"leaving {group}", get_channel_layer().group_discard(group, channel), also_while_away=True)


async def close(channel: str) -> bool:
    """Nobody will receive from this process's channel any more; False where the layer failed."""
    return await _attempt("closing a channel", get_channel_layer().delete_channel(channel), also_while_away=True)


async def layer_answers() -> bool:
    """Whether the channel layer takes a message now. Where it does, the groups that could not be told something learn of it."""
    if not await _attempt("asking it", get_channel_layer().group_send("nobody", {"type": "nothing"})):
        return False
    missed = list(_not_told)
    _not_told.clear()
    for name in missed:
        await tell(name, MISSED)
    return True


def losses() -> int:
    """How often the layer failed in this process so far: when it has grown, something may have gone unannounced, or was not
    heard.
    """
    outages: int = getattr(get_channel_layer(), "outages", 0)
    return _losses + outages


async def _attempt(what: str, call: Coroutine[Any, Any, None], *, also_while_away: bool = False) -> bool:
    global _losses, _away_until, _is_away  # noqa: PLW0603 - of the process, as the layer is
    if time.monotonic() < _away_until and not also_while_away:
        call.close()
        _losses += 1
        return False
    try:
        async with asyncio.timeout(settings.LAYER_SECONDS):
            await call
    except Exception as error:  # noqa: BLE001 - the layer's errors have no base; what it loses is in the log
        # Said once, not for each of many calls.
        level = logging.DEBUG if _is_away else logging.WARNING
        logger.log(level, "The channel layer failed while %s: %s", what, type(error).__name__)
        _losses += 1
        _away_until = time.monotonic() + AWAY_SECONDS
        _is_away = True
        return False
    # Who leaves has not waited for an answer.
    if _is_away and not also_while_away:
        logger.warning("The channel layer answers again.")
        _is_away = False
    return True
