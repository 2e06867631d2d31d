"""Two runs side by side: their steps in their order, what they took, and what differs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from agents.steps import StepType
from chat.models import Event, EventType, Run
from chat.review import agent_title, cost_text

# Longer texts are compared line by line, and ones longer still not at all: finding what differs may take the cube of the length.
# What it takes at the most is known before: how often something of one stands in the other, for as many parts as there may be.
MOST_PARTS = 2_000
MOST_WORK = 20_000_000
MOST_PAIRS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two steps that stand beside each other, or one that has no counterpart. `verdict` is a word for what differs."""

    left: Event | None
    right: Event | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """One thing that is compared, for both; `differs` says that it is not the same."""

    name: str
    left: str
    right: str

    @property
    def differs(self) -> bool:
        return self.left != self.right


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`answer` is the final answer of the right as it came from that of the left: (what, text), where `what` is same, left or
    right; None where they are too long. `left_out` is how many pairs there are beyond those of `pairs`.
    """

    totals: list[Total]
    pairs: list[Pair]
    left_out: int
    answer: list[tuple[str, str]] | None


def compare(left: Run, right: Run) -> Comparison:
    """Compare two runs by what is recorded of them."""
    sides = _steps(left), _steps(right)
    pairs = _pairs(*sides)
    return Comparison(
        totals=[
            Total(name=name, left=one, right=other)
            for (name, one), (_, other) in zip(_totals(left, sides[0]), _totals(right, sides[1]), strict=True)
        ],
        pairs=pairs[:MOST_PAIRS],
        left_out=max(len(pairs) - MOST_PAIRS, 0),
        answer=difference(*(_answer(steps) for steps in sides)),
    )


def difference(left: str, right: str) -> list[tuple[str, str]] | None:
    """The parts that two texts share and those that only one has, in order; None where they are too long."""
    one, other = _words(left), _words(right)
    if _is_too_much(one, other):
        one, other = left.splitlines(keepends=True), right.splitlines(keepends=True)
        if _is_too_much(one, other):
            return None
    parts: list[tuple[str, str]] = []
    for tag, begin, end, begin_other, end_other in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag == "equal":
            parts.append(("same", "".join(one[begin:end])))
            continue
        if end > begin:
            parts.append(("left", "".join(one[begin:end])))
        if end_other > begin_other:
            parts.append(("right", "".join(other[begin_other:end_other])))
    return parts


def _words(text: str) -> list[str]:
    # With the space before it: spaces alone would be the same everywhere.
    return re.findall(r"\s*\w+|\s*[^\w\s]|\s+", text)


def _is_too_much(one: Sequence[Hashable], other: Sequence[Hashable]) -> bool:
    """Whether to find what differs between them may take seconds."""
    if max(len(one), len(other)) > MOST_PARTS:
        return True
    counts, others = Counter(one), Counter(other)
    same = sum(count * others[part] for part, count in counts.items())
    return same * min(len(one), len(other)) > MOST_WORK


def _steps(run: Run) -> list[Event]:
    return list(Event.objects.filter(run=run, type=EventType.STEP).order_by("seq"))


def _answer(steps: Sequence[Event]) -> str:
    return next((step.content for step in reversed(steps) if step.step_type == StepType.FINAL_ANSWER), "")


def _pairs(left: list[Event], right: list[Event]) -> list[Pair]:
    """By order: steps of the same type and tool stand beside each other, and so do those in between, as far as they reach."""
    ones_kinds, others_kinds = ([(step.step_type, step.tool_name) for step in steps] for steps in (left, right))
    if _is_too_much(ones_kinds, others_kinds):
        matched = [("replace", 0, len(left), 0, len(right))]
    else:
        matched = [*SequenceMatcher(None, ones_kinds, others_kinds, autojunk=False).get_opcodes()]
    pairs: list[Pair] = []
    for _, begin, end, begin_other, end_other in matched:
        ones, others = left[begin:end], right[begin_other:end_other]
        for at in range(max(len(ones), len(others))):
            one = ones[at] if at < len(ones) else None
            other = others[at] if at < len(others) else None
            pairs.append(Pair(left=one, right=other, verdict=_verdict(one, other)))
    return pairs


def _verdict(one: Event | None, other: Event | None) -> str:
    if one is None:
        return "only right"
    if other is None:
        return "only left"
    if one.step_type != other.step_type:
        return "another step"
    if one.tool_name != other.tool_name:
        return "another tool"
    if one.step_type == StepType.TOOL_USE and one.data.get("arguments") != other.data.get("arguments"):
        return "other arguments"
    if one.content != other.content:
        return "another text"
    return "the same"


def _totals(run: Run, steps: Sequence[Event]) -> list[tuple[str, str]]:
    uses = [step for step in steps if step.step_type == StepType.TOOL_USE]
    tools: dict[str, int] = {}
    for step in uses:
        tools[step.tool_name] = tools.get(step.tool_name, 0) + 1
    named = ", ".join(f"{name} × {number}" for name, number in sorted(tools.items()))
    values: list[tuple[str, Any]] = [
        ("State", run.get_state_display()),
        ("Agent", agent_title(run.agent)),
        ("Model", run.model),
        ("Duration", _seconds(_took(run))),
        ("First token", _seconds(run.first_token_seconds)),
        ("Tokens read", run.input_tokens),
        ("Tokens written", run.output_tokens),
        ("Cost", cost_text(run.cost)),
        ("Steps", len(steps)),
        ("Tools used", named or "none"),
        ("Tool errors", run.tool_errors),
    ]
    return [(name, str(value)) for name, value in values]


def _took(run: Run) -> float | None:
    if run.started_at is None or run.ended_at is None:
        return None
    return (run.ended_at - run.started_at).total_seconds()


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f} s"
