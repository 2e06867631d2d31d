"""The arithmetic in a sentence, for the demo model: in symbols, and in words such as “12 times 7”."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+"
_FUNCTION = r"(?:sqrt|abs|round|min|max|log10|log|exp|sin|cos|tan|floor|ceil|factorial)(?=\s*\()"
_OPERATORS = frozenset(("+", "-", "*", "/", "%", "^", "**", "//", "×", "÷", "−"))
_BINARY = _OPERATORS - {"+", "-", "−", "%"}
_CONSTANTS = frozenset(("pi", "π", "e"))
_TOKEN = re.compile(rf"\s*({_FUNCTION}|\b(?:pi|e)\b|π|{_NUMBER}|\*\*|//|[-+*/%^×÷−(),])")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{2,4}\b")
# On either side of a word that is an operator. A comma before it means: all of that, and then …
_BEFORE = r"(?:(?<=[\d)π])|(?<=\bpi))(,?) "
_AFTER = rf" (?:the )?(?=[-(.\dπ]|pi\b|{_FUNCTION})"
_SPOKEN: Sequence[tuple[re.Pattern[str], str]] = tuple(
    (re.compile(pattern, re.IGNORECASE), written)
    for pattern, written in (
        (rf"\b({_NUMBER})\s*(?:%|percent) of ({_NUMBER})", r"(\1 / 100) * \2"),
        (rf"\b(?:the )?square root of ({_NUMBER})", r"sqrt(\1)"),
        (r"\b(?:the )?square root of (?=\()", "sqrt"),
        (rf"\b(?:the )?factorial of ({_NUMBER})", r"factorial(\1)"),
        (rf"\b({_NUMBER})!", r"factorial(\1)"),
        (rf"({_NUMBER}) squared\b", r"\1 ** 2"),
        (rf"({_NUMBER}) cubed\b", r"\1 ** 3"),
        (rf"{_BEFORE}(?:to the power of|to the){_AFTER}", r"\1 ** "),
        (rf"{_BEFORE}plus{_AFTER}", " + "),
        (rf"{_BEFORE}minus{_AFTER}", " - "),
        (rf"{_BEFORE}(?:times|multiplied by|x){_AFTER}", r"\1 * "),
        (rf"{_BEFORE}(?:divided by|over){_AFTER}", r"\1 / "),
    )
)
_OPERATOR_WORDS = re.compile(
    r"\b(?:plus|minus|multiplied by|divided by|squared|cubed|(?:square|cube) root|to the power of|percent of|half of|"
    r"factorial of|(?<=[\d)] )(?:times|over|modulo))\b",
    re.IGNORECASE,
)


def expressions(text: str) -> list[str]:
    """The arithmetic in a text, as the calculator takes it: symbols, and words such as “12 times 7”."""
    text = _DATE.sub(" ", _in_symbols(text))
    found: list[str] = []
    start = 0
    while start < len(text):
        tokens: list[str] = []
        end = start
        while (match := _TOKEN.match(text, end)) and (match.start(1) == end or tokens):
            tokens.append(match[1])
            end = match.end()
        found += [term for part in _parted(tokens) if (term := _term(part)) is not None]
        # Past the word, so that no operator is found in the middle of one.
        start = end if end > start else start + max(1, len(re.match(r"\w*", text[start:])[0]))  # type: ignore[index]  # always matches
    return found


def unread(text: str) -> list[str]:
    """The words of arithmetic that `expressions` makes nothing of, such as “half of”."""
    return list(dict.fromkeys(_OPERATOR_WORDS.findall(_in_symbols(text))))


def _in_symbols(text: str) -> str:
    for spoken, written in _SPOKEN:
        text = spoken.sub(written, text)
    return text


def _parted(tokens: list[str]) -> list[list[str]]:
    """The tokens between the commas that stand outside of parentheses; “2 + 3, * 4” is one part, (2 + 3) * 4."""
    parts: list[list[str]] = [[]]
    depth = 0
    has_operator = False  # outside of parentheses
    for item, after in zip(tokens, [*tokens[1:], ""], strict=False):
        depth += {"(": 1, ")": -1}.get(item, 0)
        if item in _OPERATORS and depth <= 0:
            has_operator = True
        if item == "," and depth <= 0:
            if after not in _BINARY or not parts[-1]:
                parts.append([])
            elif has_operator:
                parts[-1] = ["(", *parts[-1], ")"]
            has_operator = False
        else:
            parts[-1].append(item)
    return parts


def _term(tokens: list[str]) -> str | None:
    """The tokens as an expression, if they are one that needs working out."""
    while tokens and tokens[-1] in _OPERATORS | {",", "("}:
        tokens.pop()
    while tokens and tokens[0] in _OPERATORS - {"-", "−"} | {",", ")"}:
        tokens.pop(0)
    while tokens.count(")") > tokens.count("(") and tokens[-1] == ")":
        tokens.pop()
    has_number = any(item[0] in "0123456789." or item in _CONSTANTS for item in tokens)
    has_work = any(
        item in _OPERATORS or (item.isalnum() and item[0].isalpha() and item not in _CONSTANTS) for item in tokens
    )
    if not has_number or not has_work or (len(tokens) == 2 and tokens[0] in "-−"):
        return None
    if tokens.count("(") != tokens.count(")"):
        return None
    joined = ""
    for before, item in zip(["(", *tokens], tokens, strict=False):
        is_sign = item in {"-", "−", "+"} and (before in _OPERATORS or before in {"(", ","})
        if item in _OPERATORS and not is_sign:
            joined += f" {item} "
        elif item == ",":
            joined += ", "
        else:
            joined += item.replace(",", "")
    return " ".join(joined.split())
