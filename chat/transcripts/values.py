"""Checks of one value that stands in a file: each returns what our rows need, or says why it is not that."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

Check = Callable[[Any], Any]


class Unfit(Exception):
    """A value that no line may have; says why."""


def text(longest: int | None = None, pattern: str = "") -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise Unfit("not a text")
        if longest is not None and len(value) > longest:
            raise Unfit(f"longer than {longest} characters")
        if pattern and not re.fullmatch(pattern, value):
            raise Unfit("not of the form that it must have")
        return value

    return check


def whole(most: int, least: int = 0) -> Check:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise Unfit(f"not a whole number from {least} to {most}")
        return value

    return check


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("not a number")
    try:
        return float(value)
    except OverflowError:
        raise Unfit("too large") from None


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit("neither true nor false")
    return value


def one_of(*choices: Any) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in choices:
            raise Unfit(f"none of {', '.join(map(str, choices))}")
        return value

    return check


def moment(value: Any) -> datetime:
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) and len(value) < 40 else None
        if when is not None and when.tzinfo is not None:
            return when.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Unfit("not a time with its zone")


def money(value: Any) -> Decimal:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,8})?", value):
        raise Unfit("not an amount, with at most six digits before the point and eight after it")
    return Decimal(value)


def identity(value: Any) -> uuid.UUID:
    try:
        if isinstance(value, str) and len(value) == 36:
            return uuid.UUID(value)
    except ValueError:
        pass
    raise Unfit("not a UUID")


def or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def any_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unfit("not an object")
    return value
