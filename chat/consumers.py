"""One socket: parse, hand over, forward. It never waits for an agent; what it is sent, and in which order, is the feed's.

One file, as all of it is the life of one socket, and its order matters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Coroutine, Iterator
from functools import partial
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import DatabaseError, InterfaceError

from chat import (
    commands,
    drain,
    entry,
    group,
    log_context,
    logins,
    looks,
    marks,
    metrics,
    protocol,
    quotas,
    remote,
    site_notices,
    upkeep,
)
from chat.database import query
from chat.feed import Feed
from chat.limits import Flood, Pace
from chat.models import ChatSession
from chat.protocol import Close, Refused
from chat.turns import take_turns

logger = logging.getLogger(__name__)


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types
    """See the module. `is_open` from when it has entered its session; once it is told to close, `left` is true."""

    feed: Feed
    place: entry.Entry | None = None
    is_open = left = joined = False
    unanswered: protocol.Resume | None = None  # asked for while the database was away
    standing: logins.Standing | None = None
    told_marks: list[str] | None = None  # what was last said of marks that the group may have lost
    session: ChatSession
    user: AbstractBaseUser

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.groups: list[str] = []
        self.busy = asyncio.Lock()  # held while a command is carried out: a process that ends waits for it
        self.scope, self.base_send = scope, send
        self.channel_layer = get_channel_layer()
        self.channel_name = await self.channel_layer.new_channel()
        sources = [receive, partial(self.channel_layer.receive, self.channel_name)]
        try:
            with contextlib.suppress(StopConsumer):
                await take_turns(sources, self.dispatch)
        finally:
            # However it ends: by a disconnect, by an error, or cancelled because the browser is long gone.
            drain.leave(self)
            upkeep.current().leave(self)
            site_notices.current().leave(self)
            if self.is_open:
                metrics.socket_closed()
            if self.place is not None:
                self.place.leave()
            for name in self.groups:
                await group.leave(name, self.channel_name)
            await group.close(self.channel_name)

    async def connect(self) -> None:
        await self.accept()
        self.seen_losses = group.losses()
        self.pace = Pace(rate=settings.FRAMES_PER_SECOND, burst=settings.FRAMES_AT_ONCE)
        self.login = self.scope["cookies"].get(settings.SESSION_COOKIE_NAME, "")
        drain.enter(self)
        if drain.is_under_way():
            await self.go_away()
            return
        try:
            async with self.busy, self._while_there_is_a_session():
                await self._open()
        except (DatabaseError, InterfaceError):
            logger.exception("A socket could not be opened")
            await self._leave(Close.TRY_AGAIN)

    async def _open(self) -> None:
        agent, unknown = "", None
        try:
            agent = entry.wanted_agent(self.scope["query_string"])
        except Refused as refused:
            unknown = refused
        try:
            self.user, self.session = await self._enter(agent)
        except entry.TurnedAway as turned_away:
            if turned_away.frame is not None:
                await self._send(turned_away.frame)
            await self._leave(turned_away.close)
            return
        log_context.of_socket(self.session.public_id)
        want_drafts = partial(remote.want_drafts, self.session.pk, self.channel_name)
        self.feed = Feed(self.session.pk, send=self._send, want_drafts=want_drafts)
        if unknown is not None:
            await self.feed.send(protocol.refused(unknown, client_id=None))
        # Joined first, read after: what is recorded in between comes twice rather than never.
        self.joined = await self._join()
        head, epoch, active = await self.feed.begin()
        told = await site_notices.current().notices()
        opened = {"session_id": self.session.public_id, "agent_name": self.session.agent}
        frame = protocol.connected(**opened, head=head, epoch=epoch, active_run=active, site_notices=told)
        await self.feed.send(frame)
        self.asked_at = asyncio.get_running_loop().time()
        self.is_open = True
        await site_notices.current().enter(self, told=told)
        upkeep.current().enter(self)
        metrics.socket_opened()

    async def _enter(self, agent: str) -> tuple[AbstractBaseUser, ChatSession]:
        """Who is there, and the session that is asked for, set to the agent if one is named. Raises `entry.TurnedAway`."""
        public_id = self.scope["url_route"]["kwargs"]["session_id"]
        self.place = await entry.enter(login=self.login, public_id=public_id, agent=agent)
        self.standing = self.place.standing
        return self.place.user, self.place.session

    async def _join(self) -> bool:
        """Join the groups of the session and of the user; False where the layer fails, and then it is tried again."""
        self.groups = [group.of_session(self.session.pk), group.of_user(self.user.pk)]
        return all([await group.join(name, self.channel_name) for name in self.groups])

    # --- from the browser ---

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.left or not self.is_open or not await self._pace(len(text_data or bytes_data or "")):
            return
        async with self.busy, self._while_there_is_a_session():
            if not self.left:
                await self._answer(text_data, bytes_data)

    async def _answer(self, text: str | None, binary: bytes | None) -> None:
        command = None
        try:
            command = protocol.parse(text, binary)
            is_acknowledgement = isinstance(command, protocol.Ack)
            if is_acknowledgement:
                self.pace.was_acknowledgement()
            if isinstance(command, protocol.Ping):
                if (head := await self._look()) is not None:
                    await self.feed.send(protocol.pong(command.mark, head=head))
            elif is_acknowledgement or await self._is_signed_in():
                await self._obey(command)
        except Refused as refused:
            await self._refuse(refused, command)
        except commands.Unread:
            self.seen_losses = -1
        except (DatabaseError, InterfaceError) as error:
            logger.warning("A command could not be carried out: %s", type(error).__name__)
            self.seen_losses = -1
            match command:
                case protocol.Ping():  # what was last known
                    await self.feed.send(protocol.pong(command.mark, head=self.feed.cursor))
                case protocol.Resume():
                    self.unanswered = command
                case _:
                    await self._refuse(quotas.not_saved(), command)

    async def _refuse(self, refused: Refused, command: protocol.Command | None) -> None:
        await self.feed.send(protocol.refused(refused, client_id=protocol.id_of(command)))

    async def _pace(self, size: int) -> bool:
        """Slow a flood down, then close; False once closed."""
        try:
            await asyncio.sleep(self.pace.frame(size, asyncio.get_running_loop().time()))
        except Flood:
            await self.feed.send(protocol.refused(quotas.too_many_frames(), client_id=None))
            await self._leave(Close.FLOOD)
            return False
        return True

    async def _obey(self, command: commands.Obeyed) -> None:
        if isinstance(command, protocol.Resume):
            self.unanswered = None
        sent = await commands.obey(command, session_id=self.session.pk, feed=self.feed)
        if sent:
            # What a page costs is paid as well: asking again and again must not be cheaper than being answered.
            await asyncio.sleep(self.pace.answer(sent, asyncio.get_running_loop().time()))

    # --- from the group ---

    async def dispatch(self, message: dict[str, Any]) -> None:
        """The short way for frames that only need forwarding: Channels' own costs a thread hop for every message."""
        match message["type"]:
            case "draft" | "drafts" | "recorded" if not self.is_open or self.left:
                pass
            case "draft":
                with self._database_may_fail():
                    # A worker that is being replaced by a newer one does not say after what.
                    await self.feed.draft(message["text"], at=message["at"], after=message.get("after", 0))
            case "drafts":
                await self.feed.drafts(message["texts"])
            case "recorded":
                with self._database_may_fail():
                    await self.feed.recorded(message)
            case "missed":
                self._missed()
            case "websocket.receive":
                await self.websocket_receive(message)
            case _:
                await super().dispatch(message)

    async def login_ended(self, message: dict[str, Any]) -> None:
        """A login of this user has ended."""
        if message["login"] == logins.fingerprint(self.login):
            await self._leave(Close.SIGNED_OUT)

    async def login_changed(self, message: dict[str, Any]) -> None:
        """The user's account was saved."""
        with self._database_may_fail():
            await self._is_signed_in()

    async def session_gone(self, message: dict[str, Any]) -> None:
        """The session was deleted. One that was never used has gone by itself, and is made anew for who comes back to it."""
        is_unused = self.is_open and not self.feed.cursor
        await self._leave(Close.TRY_AGAIN if is_unused else Close.NOT_FOUND)

    async def marks_changed(self, message: dict[str, Any]) -> None:
        """The user has marked something, in some tab. It is read anew: how it stands counts, not what was told."""
        self.told_marks = None
        with self._database_may_fail():
            await self.feed.send(await query(marks.changed, self.session.pk, message["run"]))

    def _missed(self) -> None:
        """Something could not be told to this session or this user while the layer was away: all of it is asked for."""
        self.asked_at, self.seen_losses = -math.inf, -1

    async def tell(self, frame: str) -> None:
        """What operators say to all users has changed."""
        await self.feed.send(frame)

    # --- health ---

    def to_ask(self, now: float) -> Coroutine[Any, Any, None] | None:
        """What the group should have told, asked of the database now and then: news, and whether the login stands."""
        if self.left:
            return None
        if self.feed.is_too_slow():
            return self._leave(Close.TOO_SLOW)
        if now - self.asked_at >= settings.HEARTBEAT_SECONDS or self._has_reason_to_ask() or self.feed.lacks_drafts():
            return self._keep_up(now)
        return None

    async def _keep_up(self, now: float) -> None:
        async with self._while_there_is_a_session():
            with self._database_may_fail():
                if now - self.asked_at >= settings.HEARTBEAT_SECONDS and await self._look() is None:
                    return
                if self._has_reason_to_ask():
                    await self._ask()
                if self.feed.lacks_drafts():
                    await self.feed.renew_drafts()

    async def _look(self) -> int | None:
        """Look in one go whether the login stands and whether there is news; the session's head, or None once it is closed."""
        before, self.asked_at = self.asked_at, asyncio.get_running_loop().time()
        asked = looks.Asked(self.login, self.session.pk, self.standing)
        # What comes behind it waits: in mid-answer it is not gathered with others.
        seconds_since = 0.0 if self.feed.expects_more else self.asked_at - before
        seen = await looks.current().look(asked, seconds_since=seconds_since)
        self.standing = seen.standing
        if seen.standing is None:
            await self._login_has_ended()
            return None
        if seen.head is None:
            raise ChatSession.DoesNotExist
        await self.feed.heal(head=seen.head)
        return max(seen.head, self.feed.cursor)

    def _has_reason_to_ask(self) -> bool:
        if self.feed.is_waiting_for_an_end or self.feed.is_overdue():
            return True
        return not self.joined or self.seen_losses != group.losses()

    async def _ask(self) -> None:
        may_have_missed = not self.joined or self.seen_losses != group.losses()
        self.seen_losses = group.losses()
        self.joined = self.joined or await self._join()
        if self.unanswered is not None and await self._is_signed_in():
            await self.feed.resume(self.unanswered)
            self.unanswered = None
        if self.feed.is_waiting_for_an_end:
            await remote.end_if_lost(self.session.pk)
        await self.feed.heal()
        if may_have_missed:
            if (frames := await query(marks.all_of, self.session.pk)) != self.told_marks:
                self.told_marks = frames
                for frame in frames:
                    await self.feed.send(frame)
            # A piece of a draft is in no log; if nothing more came, it would be missing until the step is recorded.
            await self.feed.renew_drafts()

    @contextlib.contextmanager
    def _database_may_fail(self) -> Iterator[None]:
        """What could not be read now is asked for again with the next heartbeat."""
        try:
            yield
        except (DatabaseError, InterfaceError) as error:
            logger.warning("A socket could not ask the database: %s", type(error).__name__)
            self.seen_losses = -1

    @contextlib.asynccontextmanager
    async def _while_there_is_a_session(self) -> AsyncIterator[None]:
        try:
            yield
        except ChatSession.DoesNotExist:
            await self.session_gone({})

    async def _is_signed_in(self) -> bool:
        """Look the login up; where it has ended, close."""
        if await query(logins.user_of, self.login) is not None:
            return True
        await self._login_has_ended()
        return False

    async def _login_has_ended(self) -> None:
        # A new password renews the login of the browser that changed it: that one comes back with its new cookie.
        is_active = await query(logins.is_active, self.user.pk)
        await self._leave(Close.TRY_AGAIN if is_active else Close.SIGNED_OUT)

    async def _send(self, text: str) -> None:
        if self.left:
            return
        try:
            await self.base_send({"type": "websocket.send", "text": text})
        except RuntimeError as error:
            # Servers raise it where the socket closed a moment ago; what was not sent is in the log.
            logger.info("A frame was not sent: %s", type(error).__name__)
            await self._leave(Close.TRY_AGAIN)

    async def go_away(self) -> None:
        """The process ends: say so, finish and answer what is being handled, and close."""
        frame = protocol.going_away(spread=settings.DRAIN_SECONDS)
        await (self.feed.send(frame) if self.is_open else self._send(frame))
        async with self.busy:
            if not self.left:
                await self._leave(Close.RESTART)

    async def _leave(self, code: Close) -> None:
        """Close for a reason of ours; nothing is sent after it."""
        self.left = True
        upkeep.current().leave(self)
        with contextlib.suppress(RuntimeError):
            # A plain number: Daphne's WebSocket library takes no subclass of it.
            await self.close(int(code))
