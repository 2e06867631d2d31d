"""The lines of a file that is taken in, each checked before anything is done with it: a file may come from anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, NoReturn

from agents.steps import StepType
from chat import events
from chat.models import EventType, Feedback, RunState
from chat.protocol import SESSION_ID
from chat.transcripts import values
from chat.transcripts.lossless import FORMAT, VERSION
from chat.transcripts.parts import IMPORTED
from chat.transcripts.values import Check, Unfit

LONGEST_LINE: Final = 32 * 1024 * 1024
DEEPEST: Final = 64
_POSITIVE: Final = 2**31 - 1
_BIG: Final = 2**63 - 1


class BadFile(Exception):
    """The file can't be taken in; says in which line, and why."""


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
        except Unfit as unfit:
            raise BadFile(f"Line {number}: {unfit}.") from None
    if number == 0:
        raise BadFile("The file is empty.")


def _read(raw: bytes) -> Line:
    if len(raw) > LONGEST_LINE:
        raise Unfit(f"longer than {LONGEST_LINE} bytes")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise Unfit("not UTF-8") from None
    except RecursionError:
        raise Unfit("nested too deeply") from None
    except ValueError as error:
        cut = "" if raw.endswith(b"\n") else "; the file seems to have been cut off"
        raise Unfit(f"not JSON ({str(error)[:100]}){cut}") from None
    if not isinstance(value, dict):
        raise Unfit("not a JSON object")
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
                    raise Unfit("a text with characters that no database keeps")
                case float() if not math.isfinite(item):
                    raise Unfit("a number that is too large")
        if not below:
            return
        level = below
    raise Unfit("nested too deeply")


def _check_head(line: Line) -> None:
    if line.get("format") != FORMAT:
        raise Unfit(f"this is no file of the format {FORMAT}")
    if line.get("version") != VERSION:
        raise Unfit(f"version {str(line.get('version'))[:20]} of the format is not known here, {VERSION} is")


def _checked(line: Line) -> Line:
    kind = line.get("line")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise Unfit("neither session, run, event, gone nor end")
    checked = {"line": kind} | _object({key: value for key, value in line.items() if key != "line"}, fields)
    if kind == "event":
        _check_data(checked)
    return checked


def _check_data(line: Line) -> None:
    """Raises `Unfit` unless `data` is what an event of this type has."""
    fields, needed = DATA[line["type"]]
    if IMPORTED in line["data"]:
        raise Unfit(f"'data': {IMPORTED!r} is never taken out")
    # What else is in it is kept: another version may have known more.
    _object({name: value for name, value in line["data"].items() if name in fields}, fields, optional=True)
    if missing := needed - line["data"].keys():
        raise Unfit(f"'data': {min(missing)!r} is missing")
    if (line["type"] == EventType.STEP) != (line["step"] is not None and line["step_type"] != ""):
        raise Unfit("a step has a number and a type, and nothing else has")
    ended = line["data"].get("state")
    if ended == RunState.FAILED and not {"code", "message"} <= line["data"].keys():
        raise Unfit("'data': a failed run has a code and a message")


def _object(value: Any, fields: Mapping[str, Check], *, optional: bool = False) -> Line:
    if not isinstance(value, dict):
        raise Unfit("not an object")
    if unknown := value.keys() - fields.keys():
        raise Unfit(f"{min(unknown)[:40]!r} is not known here")
    if not optional and (missing := fields.keys() - value.keys()):
        raise Unfit(f"{min(missing)!r} is missing")
    checked = {}
    for name, given in value.items():
        try:
            checked[name] = fields[name](given)
        except Unfit as unfit:
            raise Unfit(f"{name!r}: {unfit}") from None
    return checked


_count = values.whole(_POSITIVE)
_USAGE = {"input_tokens": _count, "output_tokens": _count, "reasoning_tokens": _count}
_STEP_CHECKS: dict[str, Check] = {
    "arguments": values.any_object,
    "is_error": values.flag,
    "is_partial": values.flag,
    "reasoning": values.flag,
    "code": values.text(),
}
# Checks of what is in `data` of an event, by its type; and what must be, since pages are made from it.
DATA: dict[str, tuple[dict[str, Check], frozenset[str]]] = {
    EventType.MESSAGE: ({"by": values.text()}, frozenset()),
    EventType.RUN_START: ({"model": values.text(), "reason": values.text()}, frozenset({"model"})),
    EventType.STEP: ({name: _STEP_CHECKS[name] for name in events.STEP_DATA}, frozenset()),
    EventType.RUN_END: (
        {
            "state": values.one_of(RunState.COMPLETED, RunState.FAILED, RunState.STOPPED),
            "started": values.flag,
            "model": values.text(),
            "duration": values.number,
            "usage": lambda value: _object(value, _USAGE, optional=True),
            "code": values.text(),
            "message": values.text(),
            "by": values.text(),
        },
        frozenset({"state", "started"}),
    ),
}
_FEEDBACK: dict[str, Check] = {
    "thumb": values.one_of(Feedback.UP, Feedback.DOWN),
    "comment": values.text(2000),
    "created_at": values.moment,
    "updated_at": values.moment,
}
_FIELDS: dict[str, dict[str, Check]] = {
    "session": {
        "id": values.text(64, SESSION_ID),
        "owner": values.text(150),
        "title": values.text(120),
        "agent": values.text(64),
        "is_private": values.flag,
        "created_at": values.moment,
    },
    "run": {
        "id": values.identity,
        "parent": values.or_null(values.identity),
        "client_id": values.text(64),
        "seq": values.whole(_BIG, 1),
        "message": values.text(),
        "agent": values.text(64),
        "model": values.text(128),
        "enable_reasoning": values.flag,
        "state": values.one_of(*RunState.values),
        "attempt": _count,
        "losses": _count,
        "worker": values.text(64),
        "stop_asked_at": values.or_null(values.moment),
        "stop_asked_by_operator": values.flag,
        "error_code": values.text(32),
        "input_tokens": _count,
        "output_tokens": _count,
        "reasoning_tokens": _count,
        "cost": values.or_null(values.money),
        "tool_errors": _count,
        "first_token_seconds": values.or_null(values.number),
        "created_at": values.moment,
        "started_at": values.or_null(values.moment),
        "ended_at": values.or_null(values.moment),
        "feedback": values.or_null(lambda value: _object(value, _FEEDBACK)),
    },
    "event": {
        "run": values.identity,
        "seq": values.whole(_BIG, 1),
        "attempt": _count,
        "type": values.one_of(*EventType.values),
        "step": values.or_null(_count),
        "step_type": values.one_of("", *(str(one) for one in StepType)),
        "iteration": values.or_null(_count),
        "tool_name": values.text(128),
        "call_id": values.text(128),
        "parent_step": values.or_null(_count),
        "content": values.text(),
        "data": values.any_object,
        "duration": values.or_null(values.number),
        "input_tokens": values.or_null(_count),
        "output_tokens": values.or_null(_count),
        "cost": values.or_null(values.money),
        "created_at": values.moment,
    },
    "gone": {"run": values.identity},
    "end": {"runs": values.whole(_BIG)},
}
