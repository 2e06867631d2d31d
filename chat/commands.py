"""What each command does: to the log through `runs`, to whoever drives, and to the feed of the socket that sent it."""

from __future__ import annotations

import uuid
from typing import assert_never

from agents import registry
from chat import entry, events, protocol, remote, runs
from chat.database import query, write, write_repeatable
from chat.feed import Feed


async def obey(command: protocol.Command, *, session_id: int, feed: Feed) -> int:
    """Carry out a command for a session. Returns the number of characters of the log that were sent in answer.

    Raises `Refused`, and Django's `DatabaseError` or `InterfaceError` where the database is away.
    """
    match command:
        case protocol.Chat():
            await _chat(command, session_id, feed)
        case protocol.Ping():
            await feed.heal()
            head, _ = await query(events.head_of, session_id)
            await feed.send(protocol.pong(command.mark, head=head))
        case protocol.Interrupt():
            await _interrupt(command, session_id, feed)
        case protocol.Resume():
            return await feed.resume(command)
        case protocol.Remove():
            recorded = await write(runs.remove, session_id, command.run_id)
            await events.announce(session_id, recorded)
            await feed.catch_up()
        case protocol.Ack():
            await feed.acknowledge(command.frames)
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
    await events.announce(session_id, accepted.recorded)
    await feed.catch_up()


async def _interrupt(command: protocol.Interrupt, session_id: int, feed: Feed) -> None:
    stopping = await remote.stop(session_id, command.run_id)
    if stopping.run_id is None:
        await feed.send(protocol.interrupted(run_id=None))
    else:
        await feed.tell_when_ended(stopping.run_id)
