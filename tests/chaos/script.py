"""What the model says in chaos: numbered tokens, and calls of the ledger's tools, so that each loss and each double shows."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import Any

from tests.chaos.ledger_agent import AGAIN, ONCE
from tests.parts.model_script import Attempts, Gate, Pace, Piece, Reasoning, Text, ToolCall, Usage

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Script:
    """`turns` for the model server, and the answer that comes out of them when nothing is lost; one of several, where the model
    says something else each time that it is asked.
    """

    turns: list[list[Piece] | Attempts]
    answers: tuple[str, ...]


def numbered(count: int, *, width: int = 0) -> str:
    """1 2 3 …, each token filled up to a width."""
    return " ".join(str(number).ljust(width, ".") for number in range(1, count + 1))


def counting(count: int, *, pace: float, width: int = 0) -> Script:
    """Nothing but an answer."""
    answer = numbered(count, width=width)
    return Script([[Pace(pace), Text(answer), Usage(10, count)]], (answer,))


def gated(gate: str, *, before: int, after: int, pace: float = 0.02) -> Script:
    """An answer that stops at a gate after so many tokens. Asked again, the model says the same in other words: so it shows whose
    words were recorded.
    """
    asked, answers = [], []
    for name in ("first", "second", "third", "fourth"):
        tokens = [f"{number}:{name}" for number in range(1, before + after + 1)]
        first, rest = " ".join(tokens[:before]), " ".join(tokens[before:])
        said: list[Piece] = [Pace(pace)]
        said += [Text(first), Gate(gate), Text(f" {rest}")] if before else [Gate(gate), Text(rest)]
        asked.append(said)
        answers.append(" ".join(tokens))
    return Script([Attempts(asked)], tuple(answers))


def booking(session: str, *calls: tuple[str, dict[str, Any]], count: int, pace: float) -> Script:
    """Thinks, calls these tools at once, each with more arguments, and counts."""
    answer = numbered(count)
    asked: list[Piece] = [Pace(pace), Reasoning("I must write that down.")]
    asked += [ToolCall(tool, {"mark": f"{session}.{next(_numbers)}", **more}) for tool, more in calls]
    return Script([asked, [Pace(pace), Text(answer)]], (answer,))


def any_script(session: str, chance: random.Random) -> Script:
    """What the sessions of the load ask for: short answers of every shape."""
    pace, count = chance.choice((0.0, 0.02, 0.05)), chance.randint(5, 40)
    match chance.randrange(5):
        case 0 | 1:
            return counting(count, pace=pace)
        case 2:
            return booking(session, (ONCE, {}), count=count, pace=pace)
        case 3:
            return booking(session, (AGAIN, {}), count=count, pace=pace)
        case _:
            return booking(session, (ONCE, {}), (AGAIN, {}), (ONCE, {}), count=count, pace=pace)
