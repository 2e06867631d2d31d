"""What is known after a run of chaos: what each tab received, sent and showed, and what the database and the ledger hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.parts.tab import Frame


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame of a tab's log, `at` seconds since the epoch by the clock that the database goes by as well.

    `connection` counts the tab's sockets.
    """

    at: float
    connection: int
    sent: bool
    frame: Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class TabLog:
    """A tab: everything that came and went, in order, and in the end its transcript and all that a reader could see."""

    name: str
    entries: Sequence[Entry]
    transcript: Sequence[Frame]
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    id: str
    client_id: str
    seq: int
    message: str
    state: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """A row of the log; `committed_at` is when its transaction was, where the database keeps that."""

    seq: int
    run_id: str
    attempt: int
    type: str
    step: int | None = None
    step_type: str = ""
    tool_name: str = ""
    call_id: str = ""
    content: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    committed_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A line of the ledger: a tool had this effect. `mark` names the call that the model's script wanted made once."""

    mark: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One session, all in all. `fresh` is a tab that opened when everything was over.

    `answers` are the whole answers that the model may give, by the message's `client_id`; `effects` are those of this session, and
    `once` the tools that must not have one twice.
    """

    session: str
    head: int
    runs: Sequence[RunRow]
    events: Sequence[EventRow]
    tabs: Sequence[TabLog]
    fresh: TabLog
    answers: Mapping[str, Sequence[str]]
    effects: Sequence[Effect]
    once: frozenset[str]
    with_effect: frozenset[str]
