"""A socket's way in: who is there, may they have one more socket, and is the session theirs?"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qs

from django.contrib.auth.base_user import AbstractBaseUser

from agents import registry
from chat import access, logins, processes, protocol, quotas
from chat.database import query, write
from chat.models import ChatSession
from chat.protocol import Close, Code, Refused


class TurnedAway(Exception):
    """The socket is to be closed with `close`, after `frame` where there is something to say."""

    def __init__(self, close: Close, frame: str | None = None) -> None:
        super().__init__(close.name)
        self.close = close
        self.frame = frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Somebody who may stay. The socket counts as open until `leave`."""

    user: AbstractBaseUser
    standing: logins.Standing
    session: ChatSession
    socket_id: uuid.UUID

    def leave(self) -> None:
        """The socket is gone."""
        processes.current().close_socket(self.socket_id)


def unknown_agent() -> Refused:
    return Refused(Code.UNKNOWN_AGENT, f"There is no such agent; there are {', '.join(registry.AGENTS)}.")


def wanted_agent(query_string: bytes) -> str:
    """The agent that the address of the socket asks for, or "". Raises `Refused` where there is no such agent."""
    wanted = parse_qs(query_string.decode("utf-8", "replace")).get("agent_name", [""])[-1]
    if wanted and wanted not in registry.AGENTS:
        raise unknown_agent()
    return wanted


async def enter(*, login: str, public_id: str, agent: str) -> Entry:
    """Let a socket in to a session, which is made on first use and set to the agent, if one is named.

    Raises `TurnedAway`.
    """
    accepted = await query(logins.accept, login) if login else None
    if accepted is None:
        raise TurnedAway(Close.SIGNED_OUT)
    user, standing = accepted
    try:
        count = partial(quotas.open_socket, user_id=user.pk)
        socket_id = await processes.current().open_socket(user.pk, count)
    except Refused as refused:
        raise TurnedAway(Close.TOO_MANY, protocol.refused(refused, client_id=None)) from None
    try:
        session = await query(access.get_session, user, public_id)
        if session is None or agent not in ("", session.agent):
            session = await write(access.open_session, user, public_id, agent=agent or registry.DEFAULT_AGENT)
    except BaseException as error:
        processes.current().close_socket(socket_id)
        if isinstance(error, access.NotYours):
            raise TurnedAway(Close.NOT_FOUND) from None
        raise
    return Entry(user=user, standing=standing, session=session, socket_id=socket_id)
