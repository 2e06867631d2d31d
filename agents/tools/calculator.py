"""Arithmetic for agents: an expression is parsed, never run, and every number on the way to the result is bounded."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping

from langchain_core.tools import ToolException, tool

MAX_LENGTH = 500
# Long enough for a sum of as many terms as fit into MAX_LENGTH: each term nests the ones before it.
MAX_DEPTH = 260
MAX_DIGITS = 1_000

Number = int | float

_MAX_INT: int = 10**MAX_DIGITS
_MAX_BITS: int = _MAX_INT.bit_length()
_TOO_LARGE = f"The numbers get too large: at most {MAX_DIGITS:,} digits are worked out exactly."

# What people and models write for the operators that Python spells otherwise.
_SPELLINGS: dict[int, str] = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**", "π": "pi"})


class CalculationError(ToolException):
    """The expression has no result, or none that is worked out here; the message says why."""


def _power(base: Number, exponent: Number) -> Number:
    # The result has at least that many bits; Python would work it out for minutes before anyone could look at it.
    if isinstance(base, int) and isinstance(exponent, int) and (base.bit_length() - 1) * exponent > _MAX_BITS:
        raise CalculationError(_TOO_LARGE)
    result = base**exponent
    if isinstance(result, complex):
        raise CalculationError("A fractional power of a negative number is not a real number.")
    return result


def _round(number: Number, digits: Number = 0) -> Number:
    # round(5, -10**9) would first work out 10**(10**9).
    if not isinstance(digits, int) or abs(digits) > MAX_DIGITS:
        raise CalculationError(f"round() takes a whole number of digits, at most {MAX_DIGITS:,}.")
    return round(number, digits) if digits else round(number)


def _factorial(number: Number) -> int:
    if number != int(number) or number < 0:
        raise CalculationError("factorial() takes a whole number that is not negative.")
    if number > MAX_DIGITS:
        raise CalculationError(_TOO_LARGE)
    return math.factorial(int(number))


def _smallest(*numbers: Number) -> Number:
    return min(numbers)


def _largest(*numbers: Number) -> Number:
    return max(numbers)


_OPERATORS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_SIGNS: Mapping[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e}
FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "abs": abs,
    "ceil": math.ceil,
    "cos": math.cos,
    "exp": math.exp,
    "factorial": _factorial,
    "floor": math.floor,
    "log": math.log,
    "log10": math.log10,
    "max": _largest,
    "min": _smallest,
    "round": _round,
    "sin": math.sin,
    "sqrt": math.sqrt,
    "tan": math.tan,
}


def evaluate(expression: str) -> Number:
    """The value of an arithmetic expression, equal to Python's; angles are in radians, `^` is a power.

    Raises CalculationError, within milliseconds, for what is not arithmetic or is too large.
    """
    if len(expression) > MAX_LENGTH:
        raise CalculationError(f"The expression is too long: at most {MAX_LENGTH} characters.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(expression.translate(_SPELLINGS).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise CalculationError("This is not an arithmetic expression, such as (2 + 3) * sqrt(16).") from None
    try:
        return _value(tree.body, MAX_DEPTH)
    except ZeroDivisionError:
        raise CalculationError("Division by zero has no result.") from None
    except OverflowError:
        raise CalculationError(_TOO_LARGE) from None
    except (ValueError, TypeError) as error:
        # The messages of `math` are short and speak of numbers only: "math domain error".
        raise CalculationError(f"This cannot be worked out: {error}.") from None


def _value(node: ast.expr, depth: int) -> Number:
    if depth == 0:
        raise CalculationError(f"The expression is nested too deeply: at most {MAX_DEPTH} levels.")
    match node:
        # A bool is an int to Python, and no number to anyone else.
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _SIGNS:
            return _SIGNS[type(op)](_value(operand, depth - 1))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _bounded(_OPERATORS[type(op)](_value(left, depth - 1), _value(right, depth - 1)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return _bounded(FUNCTIONS[name](*(_value(arg, depth - 1) for arg in args)))
        case ast.Name(id=name) | ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
            known = ", ".join(sorted((*FUNCTIONS, *_CONSTANTS)))
            raise CalculationError(f"“{name}” is not known here; known are {known}.")
        case _:
            raise CalculationError("Only numbers, + - * / // % **, parentheses and functions can be calculated.")


def _bounded(number: Number) -> Number:
    if isinstance(number, int):
        if abs(number) >= _MAX_INT:
            raise CalculationError(_TOO_LARGE)
    elif not math.isfinite(number):
        raise CalculationError(_TOO_LARGE if math.isinf(number) else "The result is not a number.")
    return number


def written(number: Number) -> str:
    """The number as people write it: whole numbers in full, others to 15 significant digits (0.1 + 0.2 is 0.3)."""
    try:
        return str(number) if isinstance(number, int) else f"{number:.15g}"
    except ValueError:
        # Python writes out 4,300 digits unless its own settings say less.
        raise CalculationError("The result has too many digits to be written out.") from None


@tool
async def calculator(expression: str) -> str:
    """Work out an arithmetic expression exactly.

    Knows + - * / // % **, parentheses, sqrt, abs, round, min, max, log, log10, exp, sin, cos, tan (radians), floor,
    ceil, factorial, pi and e. Give the bare expression, for example: (12.5 + 3) * sqrt(16)
    """
    return written(evaluate(expression))
