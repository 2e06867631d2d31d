"""Reading the environment: typed, and with an error that names the variable."""

from __future__ import annotations

import os
from decimal import Decimal

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool = False) -> bool:
    value = text(name).lower()
    if not value:
        return default
    if value in _TRUE | _FALSE:
        return value in _TRUE
    raise ImproperlyConfigured(f"{name} is {value!r}; use 1 or 0.")


def number(name: str, default: float) -> float:
    value = text(name)
    try:
        result = float(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; use a number.") from None
    if result < 0:
        raise ImproperlyConfigured(f"{name} is {value!r}; use a number that is not negative.")
    return result


def choice(name: str, default: str, *, among: tuple[str, ...]) -> str:
    value = text(name, default)
    if value in among:
        return value
    raise ImproperlyConfigured(f"{name} is {value!r}; use {' or '.join(among)}.")


def items(name: str, default: str = "") -> list[str]:
    """A list, separated by commas."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def prices(name: str) -> dict[str, tuple[Decimal, Decimal]]:
    """What models cost: `model=input/output`, separated by commas, in US dollars for a million tokens."""
    found = {}
    for item in items(name):
        model, _, price = item.rpartition("=")
        of_input, _, of_output = price.partition("/")
        try:
            found[model.strip()] = (Decimal(of_input.strip()), Decimal(of_output.strip()))
            if not model.strip() or not all(part.is_finite() and part >= 0 for part in found[model.strip()]):
                raise ValueError
        except (ArithmeticError, ValueError):
            raise ImproperlyConfigured(
                f"{name} has {item!r}; write model=input/output, as in gpt-5.5=1.25/10."
            ) from None
    return found
