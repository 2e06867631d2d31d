"""The arithmetic that the demo model finds in a sentence, and what of it it knows that it can't read."""

from __future__ import annotations

import pytest

from agents.demo_arithmetic import expressions, unread
from agents.tools.calculator import evaluate


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What is (2 + 3) * 4 - 1?", ["(2 + 3) * 4 - 1"]),
        ("2+2 and 3*3", ["2 + 2", "3 * 3"]),
        ("max(1, 2) + sqrt(9)", ["max(1, 2) + sqrt(9)"]),
        ("6 x 7, 8 ÷ 2 and 5!", ["6 * 7", "8 ÷ 2", "factorial(5)"]),
        ("the square root of 1,764, divided by 7", ["sqrt(1764) / 7"]),
        ("144 divided by the square root of 16", ["144 / sqrt(16)"]),
        ("the square root of (9 + 16), times pi", ["sqrt(9 + 16) * pi"]),
        ("2 plus 3, times 4", ["(2 + 3) * 4"]),
        ("2 times 3, plus 4, divided by 5", ["(2 * 3 + 4) / 5"]),
        ("2 * 3, -4 + 1", ["2 * 3", "-4 + 1"]),
        ("1,250.50 * 2", ["1250.50 * 2"]),
        ("on 2026-03-01 at 3 pm, call 7 people", []),
        ("a-b, e-mail, x/y and 50%", []),
        ("well-known 24/7", ["24 / 7"]),
        ("-3 + 5", ["-3 + 5"]),
        ("2 *", []),
        (")(", []),
        ("pi * 2 ** 2", ["pi * 2 ** 2"]),
    ],
)
def test_arithmetic_is_found_in_text(text: str, found: list[str]) -> None:
    assert [" ".join(term.split()) for term in expressions(text)] == found
    for term in found:
        evaluate(term)


def test_words_of_arithmetic_that_no_rule_reads_are_found() -> None:
    assert unread("12 plus half of 6") == ["plus", "half of"]
    assert unread("The square root of 1,764, divided by 7; 3 squared; many times over") == []
