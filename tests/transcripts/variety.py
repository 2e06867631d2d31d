"""Sessions of every kind, as rows: all types of events and steps, many scripts, times to the microsecond, attempts, branches."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User

from agents.steps import StepType
from chat.models import ChatSession, Event, EventType, Feedback, Run, RunState

TEXTS = [
    "",
    "plain",
    "=1+1",
    "two\nlines\r\nand\ttabs",
    "quotes \" ' ` ``` ```` and \\ backslashes",
    "日本語 עברית العربية 🧪👩‍👩‍👧",
    "ends: \u2028 \u2029 \x85 \x0b \x0c \x1c",
    "\u202eturned\u202c \ufeff \u200b",
    "# heading\n- [link](javascript:alert(1))\n| a | b |",
    "</pre></article><script>window.pwned=1</script>",
    "line\n" * 200,
    "\U0010ffff\x7f",
]
ENDED = [RunState.COMPLETED, RunState.FAILED, RunState.STOPPED]


class Variety:
    """The same rows for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._now = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

    def fill(self, sessions: int = 6, *, unfinished: bool = True) -> list[ChatSession]:
        """That many sessions of two users; with `unfinished`, some have runs under way and waiting."""
        users = [User.objects.get_or_create(username=name)[0] for name in ("ada", "bob@example.org")]
        return [self._session(self._chance.choice(users), unfinished=unfinished) for _ in range(sessions)]

    def _session(self, owner: User, *, unfinished: bool) -> ChatSession:
        session = ChatSession.objects.create(
            public_id=f"v-{self._number(10**12)}",
            owner=owner,
            title=self._text()[:120],
            agent="researcher",
            is_private=self._maybe(),
        )
        ChatSession.objects.filter(pk=session.pk).update(created_at=self._later())
        runs: list[Run] = []
        for number in range(self._chance.randint(1, 5)):
            state = self._chance.choice(ENDED)
            run = self._run(session, runs, state, number)
            self._events(session, run)
            self._feedback(run)
            runs.append(run)
        if unfinished and self._maybe():
            self._events(session, self._run(session, runs, RunState.RUNNING, 10))
            self._events(session, self._run(session, runs, RunState.QUEUED, 11))
        session.updated_at = self._now
        session.save(update_fields=["head", "updated_at"])
        return session

    def _run(self, session: ChatSession, before: list[Run], state: RunState, number: int) -> Run:
        started = None if state == RunState.QUEUED or (state == RunState.STOPPED and self._maybe()) else self._later()
        over = state in ENDED
        return Run.objects.create(
            id=uuid.UUID(int=self._chance.getrandbits(128), version=4),
            session=session,
            parent=self._chance.choice([None, *before]),
            client_id=f"c{number}",
            seq=session.head + 1,
            message=self._text(),
            agent=self._chance.choice(["researcher", "writer"]),
            model="openai:gpt" if started else "",
            enable_reasoning=self._maybe(),
            state=state,
            attempt=self._chance.randint(1, 3) if started else 0,
            losses=self._number(3) if over else 0,
            worker="worker-1" if over and self._maybe() else "",
            stop_asked_at=self._later() if over and self._maybe() else None,
            error_code="model_error" if state == RunState.FAILED else "",
            input_tokens=self._number(10**6) if over else 0,
            output_tokens=self._number(10**6) if over else 0,
            reasoning_tokens=self._number(10**6) if over else 0,
            cost=self._cost() if over else None,
            tool_errors=self._number(3) if over else 0,
            first_token_seconds=self._chance.random() if over and self._maybe() else None,
            created_at=self._later(),
            started_at=started,
            ended_at=self._later() if over else None,
        )

    def _events(self, session: ChatSession, run: Run) -> None:
        def add(kind: EventType, **fields: Any) -> None:
            session.head += 1
            Event.objects.create(
                session=session, seq=session.head, run=run, type=kind, created_at=self._later(), **fields
            )

        add(EventType.MESSAGE, content=run.message)
        if run.started_at:
            step = 0
            for attempt in range(1, run.attempt + 1):
                reason = {} if attempt == 1 else {"reason": "lost"}
                add(EventType.RUN_START, attempt=attempt, data={"model": run.model} | reason)
                for kind in self._chance.sample(list(StepType), 3):
                    step += 1
                    self._step(add, kind, attempt, step)
        if run.is_over:
            data: dict[str, Any] = {"state": str(run.state), "started": run.started_at is not None}
            if run.state == RunState.FAILED:
                data |= {"code": run.error_code, "message": self._text(), "model": run.model, "duration": 1.25}
            add(EventType.RUN_END, attempt=run.attempt, data=data)

    def _step(self, add: Any, kind: StepType, attempt: int, step: int) -> None:
        data: dict[str, Any] = {}
        if kind is StepType.TOOL_USE:
            data["arguments"] = self._value(4)
        if self._maybe():
            data |= {"is_error": True, "code": "tool_error"}
        tokens = self._maybe()
        add(
            EventType.STEP,
            attempt=attempt,
            step=step,
            step_type=kind,
            iteration=self._chance.choice([None, 1, 2]),
            tool_name="calculator" if "tool" in kind else "",
            call_id=self._text()[:128] if "tool" in kind else "",
            parent_step=self._chance.choice([None, 1]),
            content=self._text(),
            data=data,
            duration=self._chance.choice([None, 0.1, 1 / 3, 1e-7, 12345.678]),
            input_tokens=self._number(10**6) if tokens else None,
            output_tokens=self._number(10**6) if tokens else None,
            cost=self._cost(),
        )

    def _feedback(self, run: Run) -> None:
        if self._maybe():
            thumb = self._chance.choice([Feedback.UP, Feedback.DOWN])
            Feedback.objects.create(
                run=run, thumb=thumb, comment=self._text()[:2000], created_at=self._later(), updated_at=self._later()
            )

    def _value(self, depth: int) -> dict[str, Any]:
        """Arguments of a tool, nested, with every kind of JSON in them."""
        leaves: list[Any] = [None, True, -0.0, 0, 1e22, 1.5e300, 1e-7, 2**70, -17, 0.1, [], {}, *TEXTS]
        values = [self._chance.choice(leaves) for _ in range(4)]
        nested = [[self._value(depth - 1)], self._value(depth - 1)] if depth else []
        return {self._text() or "key": value for value in [*values, *nested]}

    def _text(self) -> str:
        return self._chance.choice(TEXTS)

    def _number(self, most: int) -> int:
        return self._chance.randrange(most)

    def _cost(self) -> Decimal | None:
        return self._chance.choice([None, Decimal("0.00000001"), Decimal("9999.99999999"), Decimal("1.50000000")])

    def _maybe(self) -> bool:
        return self._chance.random() < 0.5

    def _later(self) -> datetime:
        self._now += timedelta(microseconds=self._chance.choice([1, 10, 999_999, 1_000_000]))
        return self._now
