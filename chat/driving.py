"""One run under way: lets its agent think, records and announces what it says, and ends it, once.

A run belongs to no connection, and to no process for longer than its lease: every write carries its attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError

from agents import failures, history, registry
from agents.context import Excerpt, RunContext
from agents.steps import Delta, Discard, Step, StepType
from agents.stream import Mapper, stream
from chat import events, group, leases, metrics, runs, search
from chat.database import hold, query, write
from chat.drafts import Drafts
from chat.models import RunState

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends; code and message say why where it failed."""

    state: RunState
    code: str = ""
    message: str = ""


class Driving:
    """A claimed run, driven by `drive`. `stop` ends it as its user asked, `hand_over` leaves it to another worker, `let_go` to
    whoever took it over.

    A run that was taken over goes on after `iterations` of the model, with `replayed` in place of the next where the last one
    asked for tools that have not answered.
    """

    def __init__(self, claimed: runs.Claimed) -> None:
        run = claimed.run
        self.claimed = claimed
        self.run_id = str(run.pk)
        self.session_id = run.session_id
        self.drafts = Drafts(
            run_id=self.run_id,
            attempt=run.attempt,
            tell=self._tell_draft if run.enable_reasoning else None,
        )
        steps = claimed.steps
        self._recorded_steps = steps[-1].number if steps else 0
        self._so_far, self.replayed = history.resumed(steps)
        self.iterations = steps[-1].iteration if steps else 0
        self._mapper = Mapper(next_step=self._recorded_steps + 1, iterations=self.iterations, replayed=self.replayed)
        self._announced = 0  # `seq`
        # Calls of tools without a recorded result: a run is not handed over in the middle of them, if it can be helped.
        self._at_work = {call["id"] for call in self.replayed.tool_calls} if self.replayed else set[str | None]()
        self._thinking: asyncio.Task[bool] | None = None
        self._stopping = False
        self._leaving = False
        self._superseded = False
        self._is_cut = False
        self._ending = False

    async def drive(self, agent: Callable[[], Awaitable[registry.Agent]]) -> None:
        """See the run to its end; an agent that can't be made is a failed run.

        Cancelled, it leaves everything as a killed process would.
        """
        telling = asyncio.create_task(self.drafts.keep_telling())
        try:
            await self._announce(self.claimed.recorded)
            ending = await self._outcome(agent)
            self._ending = True
            telling.cancel()
            match ending:
                case Ending():
                    await self._end(ending)
                case "handed over":
                    await self._persist(partial(leases.hand_over, self.run_id, attempt=self.claimed.run.attempt))
                    metrics.run_handed_over()
                case "superseded":
                    pass
        except events.Superseded as error:
            logger.warning("Superseded: %s", error)
        finally:
            telling.cancel()
            self._cut()

    def stop(self) -> None:
        """Its user asked for it: what was said so far is kept, and the run ends as stopped."""
        if not self._stopping:
            self._stopping = True
            self._cut()

    def hand_over(self, *, at_once: bool = False) -> None:
        """This process is to end: let another go on after the next step, or at once from the last one that is recorded."""
        self._leaving = True
        if at_once and not self._ending:
            self._cut()

    def let_go(self) -> None:
        """Somebody else holds the run now: stop thinking and write nothing more."""
        if not self._ending:
            self._superseded = True
            self._cut()

    def _cut(self) -> None:
        self._is_cut = True
        if self._thinking is not None:
            self._thinking.cancel()

    async def _outcome(
        self, agent: Callable[[], Awaitable[registry.Agent]]
    ) -> Ending | Literal["handed over", "superseded"]:
        """Let the agent think to its end and say how the run ends, or that it is not ours to end."""
        self._thinking = asyncio.create_task(self._think(agent))
        if self._is_cut:
            self._cut()
        try:
            await asyncio.wait([self._thinking])
            if not self._thinking.result():
                return "handed over"
        except asyncio.CancelledError:
            if self._superseded:
                return "superseded"
            if self._stopping:
                return Ending(RunState.STOPPED)
            if self._leaving:
                return "handed over"
            raise
        except events.Superseded:
            return "superseded"
        except Exception as error:
            failure = failures.explain(error, run_seconds=settings.RUN_SECONDS)
            logger.warning("Run %s failed: %s", self.run_id, failure.code, exc_info=error)
            return Ending(RunState.FAILED, failure.code, failure.message)
        return Ending(RunState.COMPLETED)

    async def _think(self, agent: Callable[[], Awaitable[registry.Agent]]) -> bool:
        """Run the agent to its end, recording each step before it is announced; False where another worker is to go on."""
        conversation = history.messages(self.claimed.turns, ask=self.claimed.run.message) + self._so_far
        context = RunContext(search_sessions=self._search, confirm=self._confirm)
        async with asyncio.timeout(settings.RUN_SECONDS):
            said_by_agent = stream(await agent(), conversation, context=context, mapper=self._mapper)
            async with contextlib.aclosing(said_by_agent) as said_in_order:
                async for said_at_once in said_in_order:
                    steps = []
                    for said in said_at_once:
                        match said:
                            case Delta():
                                self.drafts.add(said)
                            case Discard():
                                self.drafts.discard(said)
                            case Step():
                                steps.append(said)
                    if steps:
                        # Not cut between the commit and the announcement: the end must know which steps stand.
                        await uncut(self._record(steps))
                        if self._leaving and not self._at_work and steps[-1].type is not StepType.FINAL_ANSWER:
                            return False
        return True

    async def _record(self, steps: list[Step]) -> None:
        record = partial(
            events.record_steps,
            self.run_id,
            attempt=self.claimed.run.attempt,
            steps=steps,
            first_token_seconds=self.drafts.first_token_seconds,
        )
        recorded = await self._persist(record)
        self._recorded_steps = steps[-1].number
        for step in steps:
            if step.type is StepType.TOOL_USE:
                self._at_work.add(step.call_id)
            else:
                self._at_work.discard(step.call_id)
        self.drafts.recorded(steps[-1].number)
        await self._announce(recorded)

    async def _announce(self, recorded: Sequence[events.Recorded]) -> None:
        await events.announce(self.session_id, recorded)
        # Not before it: whoever hears of what it was not told asks the database.
        self._announced = recorded[-1].seq

    async def _tell_draft(self, text: str, at: float) -> bool:
        return await group.tell_draft(self.session_id, text, at=at, after=self._announced)

    async def _end(self, ending: Ending) -> None:
        """Record the end of the run, with what was said so far where it was cut off, and announce it."""
        steps = self.drafts.partial() if ending.state is not RunState.COMPLETED else []
        steps = [step for step in steps if step.number > self._recorded_steps]
        if ending.state is RunState.FAILED:
            last = steps[-1].number if steps else self._recorded_steps
            iteration = self._mapper.iteration
            steps.append(
                Step(
                    number=last + 1, type=StepType.ERROR, content=ending.message, iteration=iteration, code=ending.code
                )
            )
        finish = partial(
            runs.finish,
            self.run_id,
            attempt=self.claimed.run.attempt,
            state=ending.state,
            steps=steps,
            code=ending.code,
            message=ending.message,
            model=self._mapper.model,
        )
        await events.announce(self.session_id, await self._persist(finish))

    async def _persist(self, record: partial[list[events.Recorded]]) -> list[events.Recorded]:
        """Write, and try again for as long as the database is away. Raises `events.Superseded` if somebody else took over."""
        return await self._insist(lambda again: write(record, again=True) if again else write(record))

    async def _insist(self, attempt: Callable[[bool], Awaitable[T]]) -> T:
        """Try for as long as the database is away; each later try is told that it is one."""
        pause = FIRST_PAUSE_SECONDS
        again = False
        while True:
            try:
                return await attempt(again)
            except (OperationalError, InterfaceError) as error:
                metrics.write_retried()
                logger.warning(
                    "The database did not take a write, trying again in %.1f s: %s", pause, type(error).__name__
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            again = True

    async def _confirm(self) -> None:
        """Renew the lease. Raises `events.Superseded` if somebody else took over."""
        renew = partial(leases.renew, [self.run_id], worker=self.claimed.worker)
        if self.run_id not in await self._insist(lambda again: hold(renew)):
            raise events.Superseded(f"run {self.run_id}: attempt {self.claimed.run.attempt} is not the active one")

    async def _search(self, words: str, limit: int) -> list[Excerpt]:
        return await query(search.search, self.claimed.owner_id, words, limit, except_session=self.session_id)


async def uncut(work: Coroutine[Any, Any, None]) -> None:
    """Await the work to its end, also when cancelled meanwhile; the cancellation goes on afterwards."""
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
