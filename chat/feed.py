"""What one socket is sent, in the order of the log.

The feed keeps a cursor, the `seq` of the last recorded frame that it sent. An announcement that is the next goes out as it is,
one that is older is dropped, and one from further on makes it read the log: whatever the group loses, doubles or reorders,
each client gets a gapless stream, those that can't ask for it included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from chat import events, metrics, protocol
from chat.database import query
from chat.limits import Window

PAGE_BYTES = 256 * 1024
PAGE_EVENTS = 200
# How long pieces of drafts are held back for the whole drafts, which were asked for.
HUSH_SECONDS = 0.5
# They are asked for again after that long, and then each time twice as long: nobody may be there to send them.
LONGEST_PAUSE_SECONDS = 8.0
# A run that is under way and says nothing for so long is looked for in the log.
QUIET_SECONDS = 3.0


class Feed:
    """See the module. Announcements wait in the log while the client fetches pages of it (`_paging`), and while too much is on
    its way and not acknowledged (`_behind_since`): a slow reader costs a bounded amount of memory.

    `send` puts a text on the socket; `want_drafts` asks for the drafts so far, which come to `drafts`.
    """

    def __init__(
        self, session_id: int, *, send: Callable[[str], Awaitable[None]], want_drafts: Callable[[], Awaitable[None]]
    ) -> None:
        self._session_id = session_id
        self._put = send
        self._ask_for_drafts = want_drafts
        self._cursor = 0
        self._window = Window(limit=settings.UNACKNOWLEDGED_BYTES)
        self._paging = False
        self._behind_since: float | None = None
        self._resume_waiting: protocol.Resume | None = None
        self._hush_until = 0.0
        self._lacks_drafts = False
        self._ask_again_at = 0.0
        self._pause = 0.0
        self._answers = 0
        self._to_interrupt: set[str] = set()
        self._expects_more = False
        self._heard_at = 0.0
        self._order = asyncio.Lock()

    async def begin(self) -> tuple[int, str, str | None]:
        """Go live from the present head; returns it with the session's epoch and its active run."""
        self._cursor, epoch = await query(events.head_of, self._session_id)
        active = await query(events.active_run, self._session_id)
        self._heard(expects_more=active is not None)
        return self._cursor, epoch, active

    @property
    def cursor(self) -> int:
        """The `seq` of the last recorded frame that was sent."""
        return self._cursor

    async def send(self, text: str) -> None:
        """Send a frame that stands outside of the order of the log."""
        self._window.send(len(text))
        await self._put(text)

    # --- asked for by the client ---

    async def resume(self, command: protocol.Resume) -> int:
        """Send one page of the log, after which either the client asks for the next or is live.

        While too much is on its way, it waits for the acknowledgement. Returns the number of characters sent.
        """
        if not self._has_room(but_paging=True):
            self._resume_waiting = command
            return 0
        self._resume_waiting = None
        async with self._order:
            self._window.watched = True
            after = command.after
            head, epoch = await query(events.head_of, self._session_id)
            if after > head or (command.epoch is not None and command.epoch != epoch):
                await self.send(protocol.reset(epoch=epoch, head=head))
                after = 0
            size, through = 0, after
            page = await query(events.read_after, self._session_id, after, limit=PAGE_EVENTS)
            for event in page:
                recorded = events.recorded(event)
                size += sum(len(text) for text in recorded.texts)
                if through > after and size > PAGE_BYTES:
                    break
                await self._forward(recorded.texts, recorded.ends)
                through = recorded.seq
            head = max(head, page[-1].seq if page else 0)
            self._paging = through < head
            self._cursor = through
            await self.send(protocol.resumed(through=through, head=head, more=self._paging, epoch=epoch))
        try:
            await self.renew_drafts()
        except (DatabaseError, InterfaceError):
            # The page is the answer, and came: whoever heard of a failure would have it sent once more.
            self._lacks_drafts = True
        return size

    async def acknowledge(self, frames: int) -> None:
        """The client has handled so many frames: if it was behind, send what it missed meanwhile.

        Raises `Refused` where it claims more than it was sent.
        """
        if frames > self._window.sent:
            raise protocol.Refused(protocol.Code.BAD_FIELD, f'"frames" is {frames}, but {self._window.sent} were sent.')
        self._window.acknowledge(frames)
        if self._behind_since is None or self._window.is_full:
            return
        self._behind_since = None
        if self._resume_waiting is not None:
            await self.resume(self._resume_waiting)
            return
        await self.catch_up()
        await self.renew_drafts()

    async def tell_when_ended(self, run_id: str | None) -> None:
        """Send `interrupted` right after the end of this run, which is at once if it has ended already or there was none."""
        if run_id is None:
            await self.send(protocol.interrupted(run_id=None))
            return
        self._to_interrupt.add(run_id)
        await self.catch_up()
        async with self._order:
            ended_at = await query(events.end_of, run_id)
            if run_id in self._to_interrupt and ended_at is not None and ended_at <= self._cursor:
                self._to_interrupt.discard(run_id)
                await self.send(protocol.interrupted(run_id=run_id))

    @property
    def expects_more(self) -> bool:
        """Whether a run is under way, as far as was heard."""
        return self._expects_more

    @property
    def is_waiting_for_an_end(self) -> bool:
        return bool(self._to_interrupt)

    def is_too_slow(self) -> bool:
        """Whether the client has been behind for longer than a slow reader is waited for."""
        since = self._behind_since
        return since is not None and asyncio.get_running_loop().time() - since > settings.SLOW_SECONDS

    def is_overdue(self) -> bool:
        """Whether a run is under way of which nothing was heard for some seconds: who told of it may have died before it could."""
        return self._expects_more and asyncio.get_running_loop().time() - self._heard_at > QUIET_SECONDS

    def _heard(self, *, expects_more: bool) -> None:
        self._expects_more = expects_more
        self._heard_at = asyncio.get_running_loop().time()

    # --- told by the group ---

    async def recorded(self, message: dict[str, Any]) -> None:
        """An event was recorded: `seq`, `texts`, `ends`."""
        if message["seq"] <= self._cursor or not self._has_room():
            return
        async with self._order:
            if message["seq"] == self._cursor + 1:
                self._cursor += 1
                await self._forward(message["texts"], message["ends"])
        if message["seq"] > self._cursor:
            await self.heal()

    async def draft(self, text: str, *, at: float, after: int) -> None:
        """A piece of a draft, for everyone; `at` is when its oldest token came, `after` the `seq` of what was announced before."""
        self._heard(expects_more=True)
        if not self._has_room():
            return
        if after > self._cursor:
            await self.heal()
            if not self._has_room():
                return
        if self._hush_until <= asyncio.get_running_loop().time():
            await self.send(text)
            metrics.delta_sent(at)

    async def drafts(self, texts: list[str]) -> None:
        """The drafts so far, for this client."""
        self._answers += 1
        self._need_no_drafts()
        if self._has_room():
            for text in texts:
                await self.send(text)

    def lacks_drafts(self) -> bool:
        """Whether the whole drafts were asked for, and nobody has sent them: they are to be asked for again. Whoever writes them
        may not have been reached, or is only about to begin.
        """
        return self._lacks_drafts and self._ask_again_at <= asyncio.get_running_loop().time()

    def _need_no_drafts(self) -> None:
        self._lacks_drafts = False
        self._hush_until = self._ask_again_at = self._pause = 0.0

    async def heal(self, *, head: int | None = None) -> None:
        """Send what is recorded after the cursor, up to `head` at least, which announcements should have brought and did not."""
        self._heard(expects_more=self._expects_more)
        if (head is None or head > self._cursor) and await self.catch_up():
            metrics.gap_healed()

    async def catch_up(self) -> int:
        """Send what is recorded after the cursor; returns how many events that were."""
        async with self._order:
            began = self._cursor
            while self._has_room():
                page = await query(events.read_after, self._session_id, self._cursor, limit=PAGE_EVENTS)
                for event in page:
                    if not self._has_room():
                        return self._cursor - began
                    recorded = events.recorded(event)
                    self._cursor = recorded.seq
                    await self._forward(recorded.texts, recorded.ends)
                if len(page) < PAGE_EVENTS:
                    break
            return self._cursor - began

    def _has_room(self, *, but_paging: bool = False) -> bool:
        """Whether the client can be sent what happens now."""
        if self._behind_since is None and self._window.is_full:
            self._behind_since = asyncio.get_running_loop().time()
        return self._behind_since is None and (but_paging or not self._paging)

    async def renew_drafts(self) -> None:
        """Have the drafts so far sent to this client, if there can be any."""
        if not self._has_room():
            return
        answers = self._answers
        is_active = await query(events.active_run, self._session_id) is not None
        if not is_active:
            # There is no draft, and the next one comes from its beginning.
            self._need_no_drafts()
        elif answers == self._answers:
            # A piece without what comes before it is of no use to the client; it would only ask again.
            now = asyncio.get_running_loop().time()
            self._hush_until = now + HUSH_SECONDS
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS) or HUSH_SECONDS
            self._ask_again_at = now + self._pause
            self._lacks_drafts = True
            await self._ask_for_drafts()

    async def _forward(self, texts: list[str], ends: str | None) -> None:
        self._heard(expects_more=ends is None)
        for text in texts:
            await self.send(text)
        if ends is not None and ends in self._to_interrupt:
            self._to_interrupt.discard(ends)
            await self.send(protocol.interrupted(run_id=ends))
