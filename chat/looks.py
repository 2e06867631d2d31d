"""What sockets look at with every heartbeat: whether their login stands, and how far their session has come.

Those that look within the same moment are answered by one visit to the database, so that many idle sockets cost little more
than a few.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import OperationalError

from chat import logins
from chat.database import query
from chat.models import ChatSession

# Who looks alone is answered at once. After it the next ones are gathered for this part of a heartbeat, and no longer than that.
GATHERED = 1 / 120
MOST_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Asked:
    """One socket's question; `standing` is what was found at its last look, or when it came in."""

    login: str
    session_id: int
    standing: logins.Standing | None


@dataclass(frozen=True, slots=True)
class Seen:
    """`standing` is None where nobody is signed in any more, `head` where the session was deleted."""

    standing: logins.Standing | None
    head: int | None


class Looks:
    """See the module. There is one in an event loop."""

    def __init__(self) -> None:
        self._asked: list[tuple[Asked, asyncio.Future[Seen]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def look(self, asked: Asked, *, seconds_since: float = math.inf) -> Seen:
        """`seconds_since` is how long ago this socket looked before: who looks again at once is not made to wait for others, or a
        flood of looks would only be slow, and pile up.

        Raises what the database raises, and `OperationalError` where it does not answer in time.
        """
        if seconds_since < _gathering_seconds():
            return (await query(_answers, [asked]))[0]
        answer: asyncio.Future[Seen] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, answer))
        if self._answering is None or self._answering.done():
            # Not in the context of whoever comes first: what is logged is about all of them.
            self._answering = asyncio.create_task(self._keep_answering(), context=contextvars.Context())
        try:
            # The visit that was under way, which may take its time, and the one for this question: a page waits for both.
            async with asyncio.timeout(settings.DATABASE_SECONDS):
                return await answer
        except TimeoutError:
            raise OperationalError("The database does not answer.") from None

    async def _keep_answering(self) -> None:
        while self._asked:
            gathered, self._asked = self._asked, []
            try:
                seen = await query(_answers, [asked for asked, _ in gathered])
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait for it are to have it
                for _, answer in gathered:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), found in zip(gathered, seen, strict=True):
                    if not answer.done():  # Else whoever waited for it has gone.
                        answer.set_result(found)
            await asyncio.sleep(_gathering_seconds())


def _gathering_seconds() -> float:
    return min(GATHERED * settings.HEARTBEAT_SECONDS, MOST_SECONDS)


def _answers(gathered: Sequence[Asked]) -> list[Seen]:
    standing = logins.standing({asked.login: asked.standing for asked in gathered})
    sessions = ChatSession.objects.filter(pk__in={asked.session_id for asked in gathered})
    heads = dict(sessions.values_list("pk", "head"))
    return [Seen(standing[asked.login], heads.get(asked.session_id)) for asked in gathered]


_looks: WeakKeyDictionary[asyncio.AbstractEventLoop, Looks] = WeakKeyDictionary()


def current() -> Looks:
    """Those of the running event loop."""
    return _looks.setdefault(asyncio.get_running_loop(), Looks())
