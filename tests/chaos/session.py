"""One session under chaos: its tabs, what is asked in it, and in the end the evidence."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.chaos.evidence import Effect, EventRow, Evidence, RunRow
from tests.chaos.ledger_agent import AGAIN, NAME, ONCE
from tests.chaos.script import Script, any_script
from tests.chaos.tab import LoggedTab, Refused
from tests.parts.installation import User
from tests.parts.socket_client import Door

if TYPE_CHECKING:
    from tests.chaos.world import World

ROWS = """
SELECT event.*, extract(epoch FROM pg_xact_commit_timestamp(event.xmin))::float8 AS committed_at FROM chat_event event
JOIN chat_chatsession session ON session.id = event.session_id WHERE public_id = %s ORDER BY seq
"""

ACTIVE = """
SELECT count(*) FROM chat_run run JOIN chat_chatsession session ON session.id = run.session_id
WHERE public_id = %s AND ended_at IS NULL
"""


class Session:
    """A user's session with some tabs, each at its doors."""

    def __init__(self, world: World, user: User, doors: Sequence[tuple[str, Sequence[Door]]]) -> None:
        self.world = world
        self.user = user
        self.id = f"chaos-{uuid.uuid4().hex[:12]}"
        self.answers: dict[str, tuple[str, ...]] = {}
        self.closed = False
        self._messages: dict[str, str] = {}
        self.tabs = [LoggedTab(list(where), user, self.id, name=f"{name}#{n}") for n, (name, where) in enumerate(doors)]

    async def opened(self) -> Session:
        """Returns when all its tabs are live."""
        await asyncio.gather(*(tab.until_current(timeout=60) for tab in self.tabs))
        return self

    async def ask(
        self, script: Script, *, tab: LoggedTab | None = None, client_id: str | None = None, **payload: Any
    ) -> str:
        """Ask for what the script answers; returns the run's id. Raises `Refused`."""
        client_id = client_id or uuid.uuid4().hex
        if client_id not in self._messages:
            self._messages[client_id] = f"script:{self.world.model.script(*script.turns)}"
            self.answers[client_id] = script.answers
        message = self._messages[client_id]
        return await (tab or self.tabs[0]).ask(message, client_id=client_id, agent_name=NAME, **payload)

    async def speak(self, chance: random.Random, until: asyncio.Event) -> None:
        """Ask one thing after the other, in any of the tabs, until told to stop."""
        while not until.is_set():
            tab = chance.choice(self.tabs)
            script = any_script(self.id, chance)
            try:
                run_id = await self.ask(script, tab=tab, enable_reasoning=chance.random() < 0.85)
                await tab.until_ended(run_id, timeout=180)
            except Refused:
                await asyncio.sleep(0.5)
            await asyncio.sleep(chance.uniform(0, 0.6))

    async def until_over(self) -> None:
        """Returns when no run is under way and every tab has what there is."""
        if self.closed:
            return
        while (await self.world.query(ACTIVE, self.id))[0]["count"]:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.1)
        await asyncio.gather(*(tab.until_current(timeout=60) for tab in self.tabs))

    async def evidence(self, ledger: Sequence[Effect]) -> Evidence:
        """To be asked when everything is over."""
        fresh = LoggedTab([self.world.stack], self.user, self.id, name="fresh")
        try:
            await fresh.until_current(timeout=60)
        finally:
            await fresh.close()
        stack = self.world.stack
        runs = await asyncio.to_thread(stack.runs, self.id)
        rows = await self.world.query(ROWS, self.id)
        heads = await self.world.query("SELECT head FROM chat_chatsession WHERE public_id = %s", self.id)
        return Evidence(
            session=self.id,
            head=heads[0]["head"],
            runs=[
                RunRow(**{name: row[name] for name in ("id", "client_id", "seq", "message", "state", "attempt")})
                for row in runs
            ],
            events=[
                EventRow(
                    run_id=str(row["run_id"]),
                    **{name: row[name] for name in EventRow.__slots__ if name != "run_id"},
                )
                for row in rows
            ],
            tabs=[tab.evidence() for tab in self.tabs],
            fresh=fresh.evidence(),
            answers=self.answers,
            effects=[effect for effect in ledger if effect.mark.startswith(f"{self.id}.")],
            once=frozenset({ONCE}),
            with_effect=frozenset({ONCE, AGAIN}),
        )

    async def finish(self) -> None:
        """Nothing more is asked: its tabs come to rest and go. What they showed is judged later."""
        await self.until_over()
        await self.close()

    async def close(self) -> None:
        self.closed = True
        await asyncio.gather(*(tab.close() for tab in self.tabs))
