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
    """One answer as a client got it: pieces as they came (arrival, offset, text), and the recorded text at the end."""

    count: int
    pieces: list[tuple[float, int, str]] = field(default_factory=list)
    recorded: tuple[float, str] | None = None
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer comes to. `arrivals` are the moments at which its tokens were first there, in their order, `delays` the
    seconds that each had been on its way.
    """

    lost: int
    doubled: int
    arrivals: list[float]
    delays: list[float]


def judge(answer: Answer) -> Reading:
    """Look every token up: in the pieces as they came, and in the recorded text, which has to have them all once more.

    What was not told in a piece before its step was recorded has arrived with the step. Whatever is not as it should be
    counts as lost or doubled, be it in the pieces, in the recorded text, or because both differ.
    """
    told: Counter[int] = Counter()
    arrivals, delays = [], []
    holes = 0
    expected = 0
    for arrival, offset, text in answer.pieces:
        holes += max(0, offset - expected) // LENGTH
        expected = offset + len(text)
        for number, time in read(text):
            if not told[number]:
                arrivals.append(arrival)
                delays.append(_seconds_since(time, arrival))
            told[number] += 1
    recorded: Counter[int] = Counter()
    if answer.recorded is not None:
        arrival, text = answer.recorded
        for number, time in read(text):
            if not told[number] and not recorded[number]:
                arrivals.append(arrival)
                delays.append(_seconds_since(time, arrival))
            recorded[number] += 1
    whole = recorded if answer.recorded is not None else told
    lost = holes + sum(not whole[number] for number in range(answer.count))
    doubled = sum(times - 1 for counted in (told, recorded) for times in counted.values() if times > 1)
    strangers = sum(number >= answer.count for number in (told | recorded))
    return Reading(lost=lost, doubled=doubled + strangers, arrivals=arrivals, delays=delays)


def _seconds_since(time: int, now: float) -> float:
    return ((int(now * 1000) - time) % _AROUND) / 1000


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
