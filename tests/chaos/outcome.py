"""What came of a fault."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.world import World


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was hit, and the seconds until what it hit was alive again, where that is a question.

    `broken` is a promise that only this fault puts to the test, where it was not kept.
    """

    what: str
    seconds: float | None = None
    broken: str = ""


Fault = Callable[["World", random.Random], Awaitable[Outcome]]
