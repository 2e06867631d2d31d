"""What each command does: to the log through `runs`, to whoever drives, and to the feed of the socket that sent it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Coroutine, Sequence
from typing import Any, assert_never

from django.db import DatabaseError, InterfaceError

from agents import registry
from chat import entry, events, group, marks, protocol, remote, runs
from chat.database import query, write, write_repeatable
from chat.feed import Feed

logger = logging.getLogger(__name__)


# A ping is answered by the socket itself: it is a heartbeat, and changes nothing.
Obeyed = (
    protocol.Chat
    | protocol.Interrupt
    | protocol.Resume
    | protocol.Remove
    | protocol.Ack
    | protocol.ReadMarks
    | protocol.Feedback
    | protocol.Private
)


class Unread(Exception):
    """The command is carried out, and recorded; what is to be sent of it could not be read and must be asked for again."""


async def obey(command: Obeyed, *, session_id: int, feed: Feed) -> int:
    """Carry out a command for a session. Returns the number of characters of the log that were sent in answer.

    Raises `Refused`, `Unread`, and Django's `DatabaseError` or `InterfaceError` where the database is away.
    """
    match command:
        case protocol.Chat():
            await _chat(command, session_id, feed)
        case protocol.Interrupt():
            stopping = await remote.stop(session_id, command.run_id)
            await _read(feed.tell_when_ended(stopping.run_id))
        case protocol.Resume():
            return await feed.resume(command)
        case protocol.Remove():
            await _spread(await write(runs.remove, session_id, command.run_id), session_id, feed)
        case protocol.Ack():
            await feed.acknowledge(command.frames)
        case protocol.ReadMarks():
            for frame in (frames := await query(marks.all_of, session_id)):
                await feed.send(frame)
            return sum(map(len, frames))
        case protocol.Feedback() | protocol.Private():
            await write(marks.record, session_id, command)
            await feed.send(protocol.marked(client_id=command.client_id))
            run_id = command.run_id if isinstance(command, protocol.Feedback) else None
            await group.tell(group.of_session(session_id), {"type": "marks.changed", "run": run_id})
        case _:
            assert_never(command)
    return 0


async def _chat(command: protocol.Chat, session_id: int, feed: Feed) -> None:
    agent = command.payload.agent_name
    if agent is not None and agent not in registry.AGENTS:
        raise entry.unknown_agent()
    accepted = await write_repeatable(
        runs.accept,
        session_id,
        message=command.payload.message,
        agent=agent,
        enable_reasoning=command.payload.enable_reasoning is not False,
        # Named before the first try: one that failed may have been recorded all the same.
        client_id=command.message_id or uuid.uuid4().hex,
    )
    await feed.send(
        protocol.accepted(
            client_id=accepted.client_id, run_id=accepted.run_id, state=accepted.state, duplicate=accepted.duplicate
        )
    )
    remote.wake(session_id)
    await _spread(accepted.recorded, session_id, feed)


async def _spread(recorded: Sequence[events.Recorded], session_id: int, feed: Feed) -> None:
    await events.announce(session_id, recorded)
    await _read(feed.catch_up())


async def _read(reading: Coroutine[Any, Any, object]) -> None:
    """What is recorded is so, also where it can't be read just now. Raises `Unread`."""
    try:
        await reading
    except (DatabaseError, InterfaceError) as error:
        logger.warning("What was recorded could not be read: %s", type(error).__name__)
        raise Unread from error
