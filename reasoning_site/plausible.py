"""Transcripts that nobody had, but might have had: for trying and measuring the admin. One seed makes one history."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from agents.registry import AGENTS
from agents.steps import StepType
from chat.models import ChatSession, Event, EventType, Feedback, Run, RunState

MODELS = {
    "openai:gpt-5.5": (Decimal("1.25"), Decimal(10)),
    "anthropic:claude-sonnet-5-5": (Decimal(3), Decimal(15)),
    "ollama:qwen3": None,
    "demo": None,
}
STATES = [RunState.COMPLETED] * 88 + [RunState.FAILED] * 7 + [RunState.STOPPED] * 5
CODES = ["model_error", "iteration_limit", "time_limit", "internal", "lost"]
FREQUENT = (
    "the of a to and is in it for that on with as this be by are from or at not an was if has have will can".split()
)
SYLLABLES = "ba co di fu ga hel in jo ka lu mer no op pra qui ros ste tu ven wa xi yo zen lor mid".split()
WORDS = 12_000
SENTENCES = 6_000
DAYS = 365


@dataclass(slots=True)
class History:
    """A session with all that belongs to it, as unsaved rows; only their primary keys are set."""

    session: ChatSession
    runs: list[Run] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    feedback: list[Feedback] = field(default_factory=list)


class Author:
    """Writes histories, the oldest first, until there are so many steps and messages. Their ids go on from those given."""

    def __init__(self, seed: int, *, users: list[int], steps: int, first_session: int, now: datetime) -> None:
        self.random = random.Random(seed)  # noqa: S311 - plausible, not secret
        self._users = users
        self._user_weights = list(accumulate(1 / (rank + 3) for rank in range(len(users))))
        self._steps = steps
        self._session = first_session
        self._now = now
        vocabulary = FREQUENT + [
            "".join(self.random.choices(SYLLABLES, k=self.random.choice((2, 3, 3, 4)))) for _ in range(WORDS)
        ]
        # Zipf's law: a few words are everywhere, most are rare.
        weights = list(accumulate(1 / (rank + 1) for rank in range(len(vocabulary))))
        self._sentences = [
            " ".join(self.random.choices(vocabulary, cum_weights=weights, k=self.random.randint(5, 18))).capitalize()
            + "."
            for _ in range(SENTENCES)
        ]

    def histories(self) -> Iterator[History]:
        written = 0
        while written < self._steps:
            begin = (
                self._now
                - timedelta(days=DAYS) * (1 - written / self._steps)
                - timedelta(minutes=self.random.randint(1, 600))
            )
            history = self._history(begin, most=self._steps - written)
            written += len(history.events)
            yield history

    def _history(self, begin: datetime, *, most: int) -> History:
        chance = self.random.random
        agent = self.random.choice(list(AGENTS))
        session = ChatSession(
            pk=self._session,
            public_id=f"filled-{self._session}-{self.random.getrandbits(40):010x}",
            owner_id=self.random.choices(self._users, cum_weights=self._user_weights)[0],
            title=self._say(1)[:80],
            agent=agent,
            is_private=chance() < 0.05,
            epoch=f"{self.random.getrandbits(64):016x}",
            created_at=begin,
            updated_at=begin,
        )
        self._session += 1
        history = History(session)
        moment = begin
        parent = None
        for _ in range(self.random.choice((1, 1, 2, 3, 4, 6, 9))):
            if len(history.events) >= most:
                break
            model = self.random.choices(list(MODELS), weights=(5, 3, 2, 1))[0]
            parent, moment = self._run(history, moment, agent=agent, model=model, parent=parent)
            moment += timedelta(seconds=20 + 600 * chance() ** 4)
        session.updated_at = moment
        return history

    def _run(
        self, history: History, moment: datetime, *, agent: str, model: str, parent: Run | None
    ) -> tuple[Run, datetime]:
        chance = self.random.random
        session = history.session
        state = self.random.choice(STATES)
        run = Run(
            pk=uuid.UUID(int=self.random.getrandbits(128), version=4),
            session_id=session.pk,
            parent_id=None if parent is None else parent.pk,
            client_id=f"c{session.head + 1}",
            seq=session.head + 1,
            message=self._say(self.random.randint(1, 3)),
            agent=agent,
            model=model,
            state=state,
            attempt=1,
            created_at=moment,
            started_at=moment + timedelta(milliseconds=5 + 200 * chance()),
            tool_errors=0,
        )
        history.runs.append(run)
        self._event(history, run, moment, type=EventType.MESSAGE, content=run.message)
        moment = run.started_at or moment
        self._event(history, run, moment, type=EventType.RUN_START, data={"model": model})
        run.first_token_seconds = round(self.random.lognormvariate(-0.5, 0.6), 3)
        tools = AGENTS[agent].tools
        step = 0
        for iteration in range(1, self.random.choice((2, 2, 3, 3, 4, 6, 9))):
            tool = self.random.choice(tools)
            moment += timedelta(seconds=self.random.lognormvariate(0.3, 0.7))
            used = {"input_tokens": self.random.randint(300, 6000), "output_tokens": self.random.randint(20, 700)}
            shared: dict[str, Any] = {"type": EventType.STEP, "iteration": iteration}
            step += 1
            self._event(
                history, run, moment, **shared, **used, step=step, step_type=StepType.THOUGHT, content=self._say(2)
            )
            call = {"tool_name": tool, "call_id": f"call_{self.random.getrandbits(48):012x}"}
            step += 1
            arguments = {"query": self._say(1), "ticket": f"T-{self.random.randrange(200_000)}"}
            self._event(
                history,
                run,
                moment,
                **shared,
                **call,
                step=step,
                step_type=StepType.TOOL_USE,
                data={"arguments": arguments},
            )
            seconds = self.random.lognormvariate(-1, 1.2)
            moment += timedelta(seconds=seconds)
            step += 1
            is_error = chance() < 0.04
            run.tool_errors += is_error
            self._event(
                history,
                run,
                moment,
                **shared,
                **call,
                step=step,
                step_type=StepType.TOOL_RESULT,
                duration=seconds,
                content=self._say(self.random.randint(1, 9)),
                data={"is_error": True} if is_error else {},
            )
        moment += timedelta(seconds=self.random.lognormvariate(0.5, 0.7))
        end: dict[str, Any] = {"state": str(state), "started": True}
        if state == RunState.FAILED:
            run.error_code = self.random.choice(CODES)
            end |= {"code": run.error_code, "message": self._say(1)}
        kind = StepType.ERROR if state == RunState.FAILED else StepType.FINAL_ANSWER
        self._event(
            history,
            run,
            moment,
            type=EventType.STEP,
            step=step + 1,
            step_type=kind,
            iteration=1,
            input_tokens=self.random.randint(300, 6000),
            output_tokens=self.random.randint(50, 1500),
            content=self._say(self.random.randint(2, 8)),
            data={"code": run.error_code} if run.error_code else {},
        )
        self._event(history, run, moment, type=EventType.RUN_END, data=end)
        run.ended_at = moment
        if chance() < 0.12:
            thumb = Feedback.UP if chance() < 0.8 else Feedback.DOWN
            comment = self._say(1) if chance() < 0.3 else ""
            history.feedback.append(
                Feedback(run_id=run.pk, thumb=thumb, comment=comment, created_at=moment, updated_at=moment)
            )
        return run, moment

    def _event(self, history: History, run: Run, moment: datetime, **fields: Any) -> None:
        history.session.head += 1
        event = Event(
            session_id=history.session.pk,
            run_id=run.pk,
            seq=history.session.head,
            attempt=1,
            created_at=moment,
            **fields,
        )
        if event.input_tokens is not None and event.output_tokens is not None:
            run.input_tokens += event.input_tokens
            run.output_tokens += event.output_tokens
            price = MODELS[run.model]
            if price is not None:
                event.cost = (price[0] * event.input_tokens + price[1] * event.output_tokens) / 1_000_000
                run.cost = (run.cost or Decimal(0)) + event.cost
        history.events.append(event)

    def _say(self, sentences: int) -> str:
        return " ".join(self.random.choices(self._sentences, k=sentences))


def days_of(histories: list[History]) -> Iterator[tuple[int, Any, int, int]]:
    """User, day, tokens in and out of each run, for the accounts of what was used."""
    for history in histories:
        for run in history.runs:
            yield history.session.owner_id, run.created_at.astimezone(UTC).date(), run.input_tokens, run.output_tokens
