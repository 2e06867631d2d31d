"""Everything that chaos runs on: the stack, a model server, the relay before the database, the ledger and its gatekeeper."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg

from tests.chaos import ledger, lossy
from tests.chaos.checker import Violation, check
from tests.chaos.gatekeeper import Gatekeeper
from tests.chaos.relay import Relay
from tests.chaos.script import counting
from tests.chaos.session import Session
from tests.chaos.tab import Left, LoggedTab
from tests.parts.child import DiedEarly
from tests.parts.installation import User
from tests.parts.model_server import ModelServer
from tests.parts.operator import Operator
from tests.parts.server import Process, Worker
from tests.parts.socket_client import Door
from tests.parts.stack import Stack

P = TypeVar("P", bound=Process)

USERS = 12
LIVE_SECONDS = 90.0
STARTS = 5
LOSS = 0.2


class Gone(Exception):
    """The process that was looked for is not there any more."""


class World:
    """`haste` divides how long faults last. `sessions` are those that have not been judged yet; `upheavals` counts beginnings and
    ends of what `felt` surrounds.
    """

    def __init__(self, stack: Stack, model: ModelServer, folder: Path, *, haste: float = 1) -> None:
        self.stack = stack
        self.model = model
        self.folder = folder
        self.haste = haste
        self.ledger = folder / "ledger"
        self.gates = Gatekeeper()
        self.relay = Relay(stack.postgres.port)
        self.sessions: list[Session] = []
        self.canary: Session | None = None
        self.upheavals = 0
        # One fault at a time for each: two would only hide one another.
        self.kills_free = asyncio.Lock()
        self.stops_free = asyncio.Lock()
        self.takes_free = asyncio.Lock()
        self.webs_free = asyncio.Lock()
        self.redis_free = asyncio.Lock()
        self.postgres_free = asyncio.Lock()
        self.lossy_door: lossy.LossyDoor | None = None
        self._operator: Operator | None = None
        self._turns = itertools.count()
        self._users: itertools.cycle[User] = itertools.cycle(())
        self._restarting: set[asyncio.Task[None]] = set()

    async def start(self, *, webs: int, workers: int) -> None:
        await self.relay.start()
        await self.gates.start()
        stack = self.stack
        stack.env |= {
            **self.model.environment,
            "AGENT_MODULES": "tests.chaos.ledger_agent",
            "LEDGER": str(self.ledger),
            "GATEKEEPER": str(self.gates.port),
            "DATABASE_URL": stack.postgres.url.replace(f":{stack.postgres.port}/", f":{self.relay.port}/"),
        }
        # So that the checker can tell what was shown before it was recorded.
        await asyncio.to_thread(stack.postgres.start)
        await asyncio.to_thread(stack.query, "ALTER SYSTEM SET track_commit_timestamp = on")
        await asyncio.to_thread(stack.postgres.term)
        await asyncio.to_thread(stack.start, webs=webs, workers=workers)
        users = [stack.new_user() for _ in range(USERS)]
        for user in users:
            await asyncio.to_thread(stack.cookie, user)
        self._users = itertools.cycle(users)
        self._operator = await asyncio.to_thread(Operator, stack, stack.new_user(admin=True))
        if lossy.available():
            self.lossy_door = lossy.LossyDoor(stack, stack.proxy.port, LOSS)
            await self.lossy_door.start()

    async def close(self) -> None:
        for task in self._restarting:
            task.cancel()
        for session in self.sessions:
            if not session.closed:
                await session.close()
        if self.lossy_door:
            await self.lossy_door.close()
        if self._operator is not None:
            self._operator.close()
        self.gates.close()
        await self.relay.close()

    # --- sessions ---

    async def open(self, *doors: tuple[str, list[Door]]) -> Session:
        """A new session with a tab at each of these doors; without any, one at the proxy and one at some web server."""
        session = Session(self, next(self._users), doors or [self.proxy(), self._next_web()])
        self.sessions.append(session)
        return await session.opened()

    def proxy(self) -> tuple[str, list[Door]]:
        return "proxy", [self.stack]

    def some_web(self, chance: random.Random) -> tuple[str, list[Door]]:
        """One web server alone: while it is gone, so is the tab."""
        web = chance.choice(self.stack.webs)
        return f"web:{web.port}", [web]

    def _next_web(self) -> tuple[str, list[Door]]:
        web = self.stack.webs[next(self._turns) % len(self.stack.webs)]
        return f"web:{web.port}", [web]

    def all_webs(self) -> tuple[str, list[Door]]:
        """One web server after the other, past the proxy."""
        return "webs", [*self.stack.webs]

    # --- processes ---

    def restart_later(self, process: Process, pause: float = 0.0) -> None:
        """Have a process that is gone started again, as a supervisor does."""

        async def restart() -> None:
            await asyncio.sleep(pause)
            await self.start_again(process)

        self.later(restart())

    async def start_again(self, process: Process) -> None:
        """A process that dies at its start, because the database is away for example, is started once more."""
        for _ in range(STARTS):
            try:
                await asyncio.to_thread(process.start)
            except DiedEarly:
                await asyncio.sleep(0.5)
            else:
                return
        raise DiedEarly(f"a process did not start {STARTS} times:\n{process.output()[-3000:]}")

    async def replace(self, process: Process) -> int:
        """Ask a process to end, and start it again; returns its exit code, that of a kill where it did not end."""
        try:
            code = await asyncio.to_thread(process.term)
        except DiedEarly:
            code = -signal.SIGKILL
        await self.start_again(process)
        return code

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._restarting.add(task)

    async def until_complete(self) -> None:
        """Returns when every process that was to be restarted is there again."""
        while self._restarting:
            tasks = list(self._restarting)
            await asyncio.gather(*tasks)
            self._restarting -= set(tasks)

    def some_seconds(self, chance: random.Random, shortest: float, longest: float) -> float:
        """How long a fault lasts."""
        return chance.uniform(shortest, longest) / self.haste

    async def some(self, chance: random.Random, processes: Sequence[P]) -> P:
        """One of the processes that are there and ready."""
        while not (ready := [process for process in processes if _is_there(process)]):  # noqa: ASYNC110 - nor do they
            await asyncio.sleep(0.1)
        return chance.choice(ready)

    async def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Read the database, past the relay; waits for it where it is away."""
        async with asyncio.timeout(LIVE_SECONDS):
            while True:
                try:
                    return await asyncio.to_thread(self.stack.query, sql, *values)
                except psycopg.OperationalError:
                    await asyncio.sleep(0.1)

    async def worker_of(self, run_id: str) -> Worker:
        """The worker that drives the run. Raises `Gone` where that has just ended."""
        rows = await self.query("SELECT worker FROM chat_run WHERE id = %s", run_id)
        return _only(worker for worker in self._there() if worker.name == rows[0]["worker"])

    async def take_over(self, run_id: str) -> None:
        """As an operator, through the proxy, again and again until the site has answered."""
        assert self._operator
        async with asyncio.timeout(LIVE_SECONDS):
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    path = f"/admin/operations/runs/{run_id}/take-over/"
                    answer = await asyncio.to_thread(self._operator.post, path)
                    if answer.is_redirect:
                        return
                    if answer.is_client_error:
                        raise RuntimeError(f"an operator was refused: {answer.status_code} {answer.text[:300]}")
                await asyncio.sleep(0.2)

    def worker_by_pid(self, pid: int) -> Worker:
        return _only(worker for worker in self._there() if worker.pid == pid)

    def _there(self) -> list[Worker]:
        return [worker for worker in self.stack.workers if _is_there(worker)]

    # --- life ---

    @contextlib.asynccontextmanager
    async def felt(self) -> AsyncIterator[None]:
        """From its beginning to its end, a fault that others than its victim may feel."""
        self.upheavals += 1
        try:
            yield
        finally:
            self.upheavals += 1

    async def until_alive(self) -> float:
        """Ask something new through the proxy and bring every tab up to date; returns the seconds until both are done."""
        began = time.monotonic()
        async with asyncio.timeout(LIVE_SECONDS):
            if self.canary is None:
                self.canary = Session(self, next(self._users), [self.proxy()])
                self.sessions.append(self.canary)
            run_id = await self.canary.ask(counting(3, pace=0))
            await self.canary.tabs[0].until_ended(run_id, timeout=LIVE_SECONDS)
            live = [tab for session in self.sessions if not session.closed for tab in session.tabs if not tab.is_held]
            await asyncio.gather(*map(_until_current, live))
        return time.monotonic() - began

    async def judge(self) -> list[Violation]:
        """Wait until everything is over, decide about every session and forget them."""
        await self.until_complete()
        stuck = await asyncio.gather(*(self._until_over(session) for session in self.sessions))
        effects = await asyncio.to_thread(ledger.read, self.ledger)
        violations = [violation for found in stuck for violation in found]
        for evidence in await asyncio.gather(*(session.evidence(effects) for session in self.sessions)):
            if found := await asyncio.to_thread(check, evidence):
                violations += found
                # Whoever looks for the cause needs all of it.
                path = self.folder / f"evidence-{evidence.session}.json"
                path.write_text(json.dumps(asdict(evidence), default=sorted, indent=1))
        await asyncio.gather(*(session.close() for session in self.sessions if not session.closed))
        self.sessions, self.canary = [], None
        return violations

    async def _until_over(self, session: Session) -> list[Violation]:
        try:
            async with asyncio.timeout(LIVE_SECONDS):
                await session.until_over()
        except TimeoutError as error:
            return [Violation("live again", session.id, f"it did not come to rest in {LIVE_SECONDS:g} s: {error}")]
        return []


async def _until_current(tab: LoggedTab) -> None:
    with contextlib.suppress(Left):
        await tab.until_current(timeout=LIVE_SECONDS)


def _is_there(process: Process) -> bool:
    return process.running and process.is_ready


def _only(workers: Iterator[Worker]) -> Worker:
    for worker in workers:
        return worker
    raise Gone
