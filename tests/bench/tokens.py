"""Numbered tokens that carry the time of their emission, and what became of them on their way.

A token is eight characters: its number in the answer, then the milliseconds of the machine's monotonic clock, which every
process of the machine reads alike. So whoever gets a text knows which tokens are in it and how old they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

LENGTH = 8
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_SQUARE = len(_PAIRS)
# What four digits hold: 28 minutes.
_AROUND = _SQUARE * _SQUARE


def token(number: int, now: float) -> str:
    """The token of this number, emitted now, in seconds of the monotonic clock."""
    time = int(now * 1000) % _AROUND
    return _PAIRS[number // _SQUARE] + _PAIRS[number % _SQUARE] + _PAIRS[time // _SQUARE] + _PAIRS[time % _SQUARE]


def read(text: str) -> list[tuple[int, int]]:
    """Number and time of each token in the text. Raises `ValueError` where it is not made of whole tokens."""
    if len(text) % LENGTH:
        raise ValueError(f"{len(text)} characters are no whole tokens: {text[:80]!r}")
    return [(int(text[at : at + 4], 36), int(text[at + 4 : at + 8], 36)) for at in range(0, len(text), LENGTH)]


@dataclass(slots=True)
class Answer:
    """One answer as a client got it: pieces as they came (arrival, offset, text), and the recorded text (arrival, text)."""

    count: int
    pieces: list[tuple[float, int, str]] = field(default_factory=list)
    recorded: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer comes to. `arrivals` are the moments at which its tokens were first there, in their order, `delays` the
    seconds that each had been on its way; `held_back` of them came with the recorded text and in no piece.
    """

    lost: int
    doubled: int
    held_back: int
    arrivals: list[float]
    delays: list[float]


def judge(answer: Answer) -> Reading:
    """Look every token up in the pieces, and where there is a recorded text, in that, too.

    Lost is what the client does not have in the end; doubled is what came twice in the pieces, stands twice in the recorded
    text or in a wrong place, or was never asked for.
    """
    arrivals: list[float] = []
    delays: list[float] = []

    def take(arrival: float, text: str, seen: Counter[int], known: Counter[int]) -> None:
        for number, time in read(text):
            if not seen[number] and not known[number]:
                arrivals.append(arrival)
                delays.append(_seconds_since(time, arrival))
            seen[number] += 1

    told: Counter[int] = Counter()
    recorded: Counter[int] = Counter()
    misplaced = 0
    for arrival, offset, text in answer.pieces:
        take(arrival, text, told, told)
        misplaced += _misplaced(text, offset // LENGTH)
    in_pieces = len(arrivals)
    if answer.recorded is not None:
        take(*answer.recorded, recorded, told)
        misplaced += _misplaced(answer.recorded[1], 0)
    final = told if answer.recorded is None else recorded
    doubled = sum(times - 1 for seen in (told, recorded) for times in seen.values() if times > 1)
    strangers = sum(number >= answer.count for number in told | recorded)
    return Reading(
        lost=sum(not final[number] for number in range(answer.count)),
        doubled=doubled + strangers + misplaced,
        held_back=len(arrivals) - in_pieces,
        arrivals=arrivals,
        delays=delays,
    )


def _misplaced(text: str, first: int) -> int:
    return sum(number != first + at for at, (number, _) in enumerate(read(text)))


def _seconds_since(time: int, now: float) -> float:
    return ((int(now * 1000) - time) % _AROUND) / 1000


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
