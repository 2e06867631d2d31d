"""How a line of the log is written: as text for people, or as one JSON object for machines, which quotes nobody.

What users, models and tools say must not get into the JSON log, and it could get there by two ways. The text of an exception:
a provider's error may quote the prompt; so of exceptions it has types and places alone. And the words of libraries, which we do
not know; so of those it has the template of a message, without what was filled in.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from chat import log_context

# Loggers whose messages are known to hold ids, addresses and numbers only.
PLAIN = ("agents", "chat", "reasoning_site", "django.request", "django.security", "procrastinate")
WITHHELD = "(withheld: a message of a library, which may quote somebody; see where)"
# The innermost frames; of an endless recursion there are a thousand.
FRAMES = 50


class About(logging.Filter):
    """Adds to a record what it is about. Lets every record pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        about = log_context.current()
        record.run, record.session, record.attempt = about.run, about.session, about.attempt
        words = [f"{name} {value}" for name, value in (("session", about.session), ("run", about.run[:8])) if value] + (
            [f"attempt {about.attempt}"] if about.attempt > 1 else []
        )
        record.about = f" [{', '.join(words)}]" if words else ""
        return True


class JsonLines(logging.Formatter):
    """One object a line. What is not known of a record is left out of it."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": said(record),
            "where": f"{record.pathname}:{record.lineno}",
            "process": log_context.process(),
            **{name: getattr(record, name, None) for name in ("session", "run", "attempt")},
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = anatomy(record.exc_info[1])
        return json.dumps({name: value for name, value in line.items() if value})


def said(record: logging.LogRecord) -> str:
    """The message, where it is known to quote nobody; else its template, if it has one."""
    if any(record.name == name or record.name.startswith(f"{name}.") for name in PLAIN):
        try:
            return record.getMessage()
        except Exception:  # noqa: BLE001 - logging itself would print the arguments; a line that does not fit must not
            return str(record.msg)
    # Without arguments, what looks like a template may be a sentence that was filled in before.
    return record.msg if record.args and isinstance(record.msg, str) else WITHHELD


def anatomy(error: BaseException, seen: frozenset[int] = frozenset()) -> dict[str, Any]:
    """What an exception is and where it came from, with those behind it, and none of its words."""
    kind = type(error)
    found: dict[str, Any] = {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "frames": list(frames(error.__traceback__))[-FRAMES:],
    }
    seen |= {id(error)}
    behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if behind is not None and id(behind) not in seen:
        found["after"] = anatomy(behind, seen)
    if isinstance(error, BaseExceptionGroup):
        found["of"] = [anatomy(part, seen) for part in error.exceptions]
    return found


def frames(trace: TracebackType | None) -> Iterator[dict[str, str | int]]:
    """The places that an exception passed, the outermost first."""
    for frame, line in traceback.walk_tb(trace):
        yield {"file": frame.f_code.co_filename, "line": line, "function": frame.f_code.co_qualname}
