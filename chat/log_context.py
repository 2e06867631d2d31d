"""What the present task works on, for the log: a run, a session. Whatever logs in it need not know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """`session` is its public id; what is empty or 0 is not known."""

    session: str = ""
    run: str = ""
    attempt: int = 0


_about: Final[ContextVar[About]] = ContextVar("about", default=About())  # noqa: B039 - it cannot be changed
_process = ""


def current() -> About:
    """What this task, or the thread that works for it, is about."""
    return _about.get()


@contextlib.contextmanager
def about(*, session: str, run: str = "", attempt: int = 0) -> Iterator[None]:
    """Within it, and in tasks that begin there, log lines say so."""
    token = _about.set(About(session=session, run=run, attempt=attempt))
    try:
        yield
    finally:
        _about.reset(token)


def of_socket(session: str) -> None:
    """The rest of the present task is one socket's life."""
    _about.set(About(session=session))


def name_process(name: str) -> None:
    """Log lines of this process say its name from now on."""
    global _process  # noqa: PLW0603 - of the process, as its name is
    _process = name


def process() -> str:
    """The name of this process, empty where it has none yet."""
    return _process
