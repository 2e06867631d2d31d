"""What a run lends to its tools: the site's data comes in as functions, so that agents import nothing of the site."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A place in one of the user's earlier sessions; `when` is an ISO 8601 time in UTC."""

    session_id: str
    title: str
    when: str
    text: str


async def _certain() -> None:
    """Where nobody else could drive the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """Passed to LangChain as the run's `context`; a tool reads it from its `ToolRuntime`.

    `search_sessions(query, limit)` looks only through the sessions of the user whose run it is. `confirm()` returns once it is
    certain that this process still drives the run, and raises where another has taken it over: it is asked before a tool whose
    effect must not come twice.
    """

    search_sessions: Callable[[str, int], Awaitable[list[Excerpt]]]
    confirm: Callable[[], Awaitable[None]] = _certain
