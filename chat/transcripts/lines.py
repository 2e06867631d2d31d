"""The lines of a file that is taken in, each checked before anything is done with it: a file may come from anywhere."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final, NoReturn

from agents.steps import StepType
from chat import events
from chat.models import EventType, Feedback, RunState
from chat.protocol import SESSION_ID
from chat.transcripts.lossless import FORMAT, VERSION
from chat.transcripts.parts import IMPORTED

LONGEST_LINE: Final = 32 * 1024 * 1024
DEEPEST: Final = 64
_POSITIVE: Final = 2**31 - 1
_BIG: Final = 2**63 - 1


class BadFile(Exception):
    """The file can't be taken in; says in which line, and why."""


class _Unfit(Exception):
    """A value that no line may have; says why."""


Check = Callable[[Any], Any]
Line = dict[str, Any]


def read(file: BinaryIO) -> Iterator[tuple[int, Line]]:
    """The lines after the first, each with its number, as dictionaries with what our rows need. Raises `BadFile`."""
    number = 0
    while raw := file.readline(LONGEST_LINE + 1):
        number += 1
        try:
            line = _read(raw)
            if number == 1:
                _check_head(line)
            else:
                yield number, _checked(line)
        except _Unfit as unfit:
            raise BadFile(f"Line {number}: {unfit}.") from None
    if number == 0:
        raise BadFile("The file is empty.")


def _read(raw: bytes) -> Line:
    if len(raw) > LONGEST_LINE:
        raise _Unfit(f"longer than {LONGEST_LINE} bytes")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise _Unfit("not UTF-8") from None
    except RecursionError:
        raise _Unfit("nested too deeply") from None
    except ValueError as error:
        cut = "" if raw.endswith(b"\n") else "; the file seems to have been cut off"
        raise _Unfit(f"not JSON ({str(error)[:100]}){cut}") from None
    if not isinstance(value, dict):
        raise _Unfit("not a JSON object")
    _check_fit(value)
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _check_fit(value: Any) -> None:
    """Nothing in it that a database does not take."""
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for item in level:
            match item:
                case dict():
                    below += item.keys()
                    below += item.values()
                case list():
                    below += item
                case str() if "\0" in item or any("\ud800" <= sign <= "\udfff" for sign in item):
                    raise _Unfit("a text with characters that no database keeps")
                case float() if not math.isfinite(item):
                    raise _Unfit("a number that is too large")
        if not below:
            return
        level = below
    raise _Unfit("nested too deeply")


def _check_head(line: Line) -> None:
    if line.get("format") != FORMAT:
        raise _Unfit(f"this is no file of the format {FORMAT}")
    if line.get("version") != VERSION:
        raise _Unfit(f"version {str(line.get('version'))[:20]} of the format is not known here, {VERSION} is")


def _checked(line: Line) -> Line:
    kind = line.get("line")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise _Unfit("neither session, run, event, gone nor end")
    checked = {"line": kind} | _object({key: value for key, value in line.items() if key != "line"}, fields)
    if kind == "event":
        _check_data(checked)
    return checked


def _check_data(line: Line) -> None:
    """Raises `_Unfit` unless `data` is what an event of this type has."""
    fields, needed = DATA[line["type"]]
    if IMPORTED in line["data"]:
        raise _Unfit(f"'data': {IMPORTED!r} is never taken out")
    # What else is in it is kept: another version may have known more.
    _object({name: value for name, value in line["data"].items() if name in fields}, fields, optional=True)
    if missing := needed - line["data"].keys():
        raise _Unfit(f"'data': {min(missing)!r} is missing")
    if (line["type"] == EventType.STEP) != (line["step"] is not None and line["step_type"] != ""):
        raise _Unfit("a step has a number and a type, and nothing else has")
    ended = line["data"].get("state")
    if ended == RunState.FAILED and not {"code", "message"} <= line["data"].keys():
        raise _Unfit("'data': a failed run has a code and a message")


def _object(value: Any, fields: Mapping[str, Check], *, optional: bool = False) -> Line:
    if not isinstance(value, dict):
        raise _Unfit("not an object")
    if unknown := value.keys() - fields.keys():
        raise _Unfit(f"{min(unknown)[:40]!r} is not known here")
    if not optional and (missing := fields.keys() - value.keys()):
        raise _Unfit(f"{min(missing)!r} is missing")
    checked = {}
    for name, given in value.items():
        try:
            checked[name] = fields[name](given)
        except _Unfit as unfit:
            raise _Unfit(f"{name!r}: {unfit}") from None
    return checked


# --- checks of one value ------------------------------------------------------------------------------------------------


def _text(longest: int | None = None, pattern: str = "") -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise _Unfit("not a text")
        if longest is not None and len(value) > longest:
            raise _Unfit(f"longer than {longest} characters")
        if pattern and not re.fullmatch(pattern, value):
            raise _Unfit("not of the form that it must have")
        return value

    return check


def _whole(most: int, least: int = 0) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise _Unfit(f"not a whole number from {least} to {most}")
        return value

    return check


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit("not a number")
    try:
        return float(value)
    except OverflowError:
        raise _Unfit("too large") from None


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Unfit("neither true nor false")
    return value


def _one_of(*choices: Any) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in choices:
            raise _Unfit(f"none of {', '.join(map(str, choices))}")
        return value

    return check


def _moment(value: Any) -> datetime:
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) and len(value) < 40 else None
        if when is not None and when.tzinfo is not None:
            return when.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _Unfit("not a time with its zone")


def _money(value: Any) -> Decimal:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,8})?", value):
        raise _Unfit("not an amount, with at most six digits before the point and eight after it")
    return Decimal(value)


def _identity(value: Any) -> uuid.UUID:
    try:
        if isinstance(value, str) and len(value) == 36:
            return uuid.UUID(value)
    except ValueError:
        pass
    raise _Unfit("not a UUID")


def _or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _any_object(value: Any) -> Line:
    if not isinstance(value, dict):
        raise _Unfit("not an object")
    return value


_count = _whole(_POSITIVE)
_USAGE = {"input_tokens": _count, "output_tokens": _count, "reasoning_tokens": _count}
_STEP_CHECKS: dict[str, Check] = {
    "arguments": _any_object,
    "is_error": _flag,
    "is_partial": _flag,
    "reasoning": _flag,
    "code": _text(),
}
# Checks of what is in `data` of an event, by its type; and what must be, since pages are made from it.
DATA: dict[str, tuple[dict[str, Check], frozenset[str]]] = {
    EventType.MESSAGE: ({}, frozenset()),
    EventType.RUN_START: ({"model": _text(), "reason": _text()}, frozenset({"model"})),
    EventType.STEP: ({name: _STEP_CHECKS[name] for name in events.STEP_DATA}, frozenset()),
    EventType.RUN_END: (
        {
            "state": _one_of(RunState.COMPLETED, RunState.FAILED, RunState.STOPPED),
            "started": _flag,
            "model": _text(),
            "duration": _number,
            "usage": lambda value: _object(value, _USAGE, optional=True),
            "code": _text(),
            "message": _text(),
        },
        frozenset({"state", "started"}),
    ),
}
_FEEDBACK: dict[str, Check] = {
    "thumb": _one_of(Feedback.UP, Feedback.DOWN),
    "comment": _text(2000),
    "created_at": _moment,
    "updated_at": _moment,
}
_FIELDS: dict[str, dict[str, Check]] = {
    "session": {
        "id": _text(64, SESSION_ID),
        "owner": _text(150),
        "title": _text(120),
        "agent": _text(64),
        "is_private": _flag,
        "created_at": _moment,
    },
    "run": {
        "id": _identity,
        "parent": _or_null(_identity),
        "client_id": _text(64),
        "seq": _whole(_BIG, 1),
        "message": _text(),
        "agent": _text(64),
        "model": _text(128),
        "enable_reasoning": _flag,
        "state": _one_of(*RunState.values),
        "attempt": _count,
        "losses": _count,
        "worker": _text(64),
        "stop_asked_at": _or_null(_moment),
        "error_code": _text(32),
        "input_tokens": _count,
        "output_tokens": _count,
        "reasoning_tokens": _count,
        "cost": _or_null(_money),
        "tool_errors": _count,
        "first_token_seconds": _or_null(_number),
        "created_at": _moment,
        "started_at": _or_null(_moment),
        "ended_at": _or_null(_moment),
        "feedback": _or_null(lambda value: _object(value, _FEEDBACK)),
    },
    "event": {
        "run": _identity,
        "seq": _whole(_BIG, 1),
        "attempt": _count,
        "type": _one_of(*EventType.values),
        "step": _or_null(_count),
        "step_type": _one_of("", *(str(one) for one in StepType)),
        "iteration": _or_null(_count),
        "tool_name": _text(128),
        "call_id": _text(128),
        "parent_step": _or_null(_count),
        "content": _text(),
        "data": _any_object,
        "duration": _or_null(_number),
        "input_tokens": _or_null(_count),
        "output_tokens": _or_null(_count),
        "cost": _or_null(_money),
        "created_at": _moment,
    },
    "gone": {"run": _identity},
    "end": {"runs": _whole(_BIG)},
}
