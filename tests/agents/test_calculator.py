"""The calculator: Python's results for arithmetic, a sentence for everything else, and never a long wait."""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.tools.calculator import (
    FUNCTIONS,
    MAX_DIGITS,
    MAX_LENGTH,
    CalculationError,
    calculator,
    evaluate,
    written,
)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("2 + 3 * 4", "14"),
        ("(2 + 3) * 4", "20"),
        ("7 / 2", "3.5"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("2 ** 3 ** 2", "512"),
        ("2 ^ 10", "1024"),
        ("6 × 7 − 2 ÷ 4", "41.5"),
        ("--5", "5"),
        ("0.1 + 0.2", "0.3"),
        ("sqrt(16) + abs(-2)", "6"),
        ("round(2.345, 1) + round(7.6)", "10.3"),
        ("min(3, 1, 2) + max(4, 5)", "6"),
        ("log(e) + log10(1000) + log(8, 2) + exp(0)", "8"),
        ("sin(0) + cos(0) + tan(0)", "1"),
        ("floor(2.9) + ceil(2.1)", "5"),
        ("factorial(20)", "2432902008176640000"),
        ("2 * π", "6.28318530717959"),
        ("10 ** 999", "1" + "0" * 999),
        ("1e3", "1000"),
        ("1+" * 249 + "1", "250"),
        ("  1 + 1\n", "2"),
    ],
)
async def test_arithmetic_is_worked_out(expression: str, result: str) -> None:
    assert await calculator.ainvoke({"expression": expression}) == result


TOO_LARGE = "too large"


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("9**9**9", TOO_LARGE),
        ("9**9**9**9", TOO_LARGE),
        ("10**1000", TOO_LARGE),
        ("(10**999) * (10**999)", TOO_LARGE),
        ("(-9)**9999999", TOO_LARGE),
        ("factorial(factorial(20))", TOO_LARGE),
        ("factorial(999)", TOO_LARGE),
        ("2.0 ** 5000", TOO_LARGE),
        ("1e999", TOO_LARGE),
        ("1e308 * 10", TOO_LARGE),
        ("exp(1000)", TOO_LARGE),
        ("sqrt(10**999)", TOO_LARGE),
        ("10**999 / 3", TOO_LARGE),
        ("1 << 999999999", "Only numbers"),
        ("round(5, -10**9)", "whole number of digits"),
        ("round(5, 0.5)", "whole number of digits"),
        ("1 / 0", "Division by zero"),
        ("1 % 0", "Division by zero"),
        ("0 ** -1", "Division by zero"),
        ("(-8) ** 0.5", "not a real number"),
        ("sqrt(-1)", "math domain error"),
        ("log(0)", "cannot be worked out"),
        ("factorial(1.5)", "whole number"),
        ("factorial(-1)", "whole number"),
        ("min()", "cannot be worked out"),
        ("sqrt(1, 2)", "cannot be worked out"),
        ("x + 1", "“x” is not known"),
        ("__import__('os')", "“__import__” is not known"),
        ("eval('1')", "“eval” is not known"),
        ("().__class__", "Only numbers"),
        ("(1).real", "Only numbers"),
        ("sqrt.__call__(4)", "Only numbers"),
        ("'a' * 10", "Only numbers"),
        ("[1] * 10", "Only numbers"),
        ("True + True", "Only numbers"),
        ("1j * 1j", "Only numbers"),
        ("1 if 2 else 3", "Only numbers"),
        ("1 < 2", "Only numbers"),
        ("sqrt(*[4])", "Only numbers"),
        ("round(number=4)", "Only numbers"),
        ("lambda: 1", "Only numbers"),
        ("f'{1}'", "Only numbers"),
        ("2 +", "not an arithmetic expression"),
        ("", "not an arithmetic expression"),
        ("sqrt", "Only numbers"),
        ("1; 2", "not an arithmetic expression"),
        ("1\x002", "not an arithmetic expression"),
        ("\ud800", "not an arithmetic expression"),
        ("(" * 240 + "1" + ")" * 240, "not an arithmetic expression"),
        ("-" * 400 + "1", "nested too deeply"),
        ("1" * (MAX_LENGTH + 1), "too long"),
    ],
)
async def test_what_cannot_be_worked_out_is_a_sentence_at_once(expression: str, reason: str) -> None:
    began = time.perf_counter()
    with pytest.raises(CalculationError, match=reason):
        evaluate(expression)
    assert time.perf_counter() - began < 0.2


def test_every_function_it_names_exists() -> None:
    """The tool's description and its functions agree."""
    for name in FUNCTIONS:
        assert name in calculator.description


def test_fewer_digits_in_pythons_own_settings_are_an_error_and_no_crash() -> None:
    """640 is the lowest that Python can be set to."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert evaluate("10**600 // 10**599") == 10
        with pytest.raises(CalculationError, match="digits"):
            written(evaluate("10**700"))
    finally:
        sys.set_int_max_str_digits(before)


small = st.integers(-50, 50).map(lambda number: f"({number})") | st.sampled_from(["0.5", "2.25", "3"])
expressions = st.recursive(
    small,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
            lambda term: f"({' '.join(term)})"
        ),
        st.tuples(inner, st.integers(0, 4)).map(lambda term: f"({term[0]} ** {term[1]})"),
        inner.map(lambda term: f"-{term}"),
        inner.map(lambda term: f"abs({term})"),
    ),
    max_leaves=6,
)


@given(expressions)
@settings(max_examples=150, deadline=None)
def test_small_expressions_equal_pythons_result(expression: str) -> None:
    try:
        expected = eval(expression, {"__builtins__": {}, "abs": abs})
    except ZeroDivisionError:
        with pytest.raises(CalculationError):
            evaluate(expression)
        return
    result = evaluate(expression)
    assert (type(result), result) == (type(expected), expected)


pieces = st.sampled_from(
    [
        *"0123456789.+-*/%()^, ",
        "**",
        "//",
        "99",
        "1e300",
        "factorial(",
        "round(",
        "sqrt(",
        "exp(",
        "max(",
        "9**9",
        "pi",
        "**9**",
    ]
)


@given(st.lists(pieces, max_size=80).map("".join) | st.text(max_size=MAX_LENGTH))
@example("9**" * 166 + "9")
@example("factorial(" * 40 + "9" + ")" * 40)
@example("(" + "9" * 400 + ")**2.5")
@example("9" * 490 + "**2")
@settings(max_examples=200, deadline=None)
def test_no_text_keeps_it_busy(expression: str) -> None:
    """Whatever is asked, there is a number of bounded size or an error, within 200 ms."""
    began = time.perf_counter()
    try:
        result = evaluate(expression)
    except CalculationError:
        pass
    else:
        assert abs(Fraction(result)) < 10**MAX_DIGITS
    assert time.perf_counter() - began < 0.2
