"""The socket of somebody of the staff who watches another user's session in the admin: it reads, and takes no part."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser

from chat import entry, logins, protocol, quotas, readings
from chat.consumers import ChatConsumer
from chat.database import query, write
from chat.models import ChatSession
from chat.protocol import Close, Code, Refused

# How many each reader has open here: as many as of their own sessions, in each process.
_watching: Counter[Any] = Counter()


class WatchConsumer(ChatConsumer):
    """Sent the same as the user's own page, for as long as this reader may read the session (`chat.readings`). It counts
    as none of the sockets of their own sessions.
    """

    counted_for: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            if self.counted_for is not None:
                _watching[self.counted_for] -= 1
                if not _watching[self.counted_for]:
                    del _watching[self.counted_for]

    async def _enter(self, agent: str) -> tuple[AbstractBaseUser, ChatSession]:
        """The reader and the session. Raises `entry.TurnedAway`, where it is not to be read as where there is none."""
        pk = int(self.scope["url_route"]["kwargs"]["pk"])
        reader = await query(logins.user_of, self.login) if self.login else None
        if reader is None:
            raise entry.TurnedAway(Close.SIGNED_OUT)
        session = await query(_readable, reader, pk)
        if session is None:
            raise entry.TurnedAway(Close.NOT_FOUND)
        if settings.SOCKETS_PER_USER and _watching[reader.pk] >= settings.SOCKETS_PER_USER:
            raise entry.TurnedAway(Close.TOO_MANY, protocol.refused(quotas.too_many_sockets(), client_id=None))
        _watching[reader.pk] += 1
        self.counted_for = reader.pk
        await write(readings.record_once, reader, session)
        return reader, session

    async def _is_signed_in(self) -> bool:
        """Look up whether the login stands and the session is still to be read; where not, close."""
        if not await super()._is_signed_in():
            return False
        # Anew from the database: permissions are remembered with a user once they were asked for.
        reader = await query(logins.user_of, self.login)
        if reader is not None and await query(_readable, reader, self.session.pk) is not None:
            return True
        await self._leave(Close.NOT_FOUND)
        return False

    async def _look(self) -> int | None:
        return await super()._look() if await self._is_signed_in() else None

    async def _open(self) -> None:
        await super()._open()
        # A mark that came between the first look and the joining of the group was not heard.
        if self.is_open and not self.left:
            await self._is_signed_in()

    async def _ask(self) -> None:
        # That something was lost may be that the session is private now.
        if await self._is_signed_in():
            await super()._ask()

    async def session_gone(self, message: dict[str, Any]) -> None:
        """The session was deleted, and its reader does not make it anew."""
        await self._leave(Close.NOT_FOUND)

    async def marks_changed(self, message: dict[str, Any]) -> None:
        """The user has marked something: if it is that the session is private, not everybody may read on."""
        with self._database_may_fail():
            if not await self._is_signed_in():
                return
        await super().marks_changed(message)

    async def _obey(self, command: protocol.Command) -> None:
        if not isinstance(command, protocol.Resume | protocol.Ack):
            raise Refused(Code.UNKNOWN_TYPE, "Whoever watches only reads: ping, resume and ack are taken here.")
        await super()._obey(command)


def _readable(reader: AbstractBaseUser, pk: int) -> ChatSession | None:
    return readings.readable_by(reader).filter(pk=pk).first()
