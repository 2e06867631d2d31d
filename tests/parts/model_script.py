"""What a script of the model server is made of: turns, which are lists of pieces. Its use stands in `model_server`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Text:
    """Words of the answer; one chunk for each word, or for each item where a list is given."""

    text: str | Sequence[str]


@dataclass(frozen=True)
class Reasoning:
    """Reasoning tokens, cut as in `Text`, in the field that the server in question would use."""

    text: str | Sequence[str]
    field: Literal["reasoning_content", "reasoning"] = "reasoning_content"


@dataclass(frozen=True)
class ToolCall:
    """A tool call, its arguments in fragments. Several in a turn are parallel calls. `arguments` as text is sent as it
    is.
    """

    name: str
    arguments: dict[str, Any] | str
    id: str = ""
    fragments: int = 3


@dataclass(frozen=True)
class Gate:
    """Wait here until the test opens the gate of this name; each `open(name)` lets one through."""

    name: str


@dataclass(frozen=True)
class Pace:
    """Seconds before each of the chunks that follow."""

    seconds: float


@dataclass(frozen=True)
class Pause:
    """Say nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Usage:
    """What the last chunk reports, if the request asked for it (`stream_options.include_usage`)."""

    input: int
    output: int
    reasoning: int = 0


@dataclass(frozen=True)
class Finish:
    """The finish reason, where it is not the natural one: `length`, `content_filter`."""

    reason: str


@dataclass(frozen=True)
class Refusal:
    """Answer with an HTTP error in place of a stream. Only as the first piece of a turn."""

    status: int
    message: str = "scripted error"
    retry_after: float | None = None


@dataclass(frozen=True)
class Cut:
    """Break the connection here."""


@dataclass(frozen=True)
class Hang:
    """Say nothing more, and keep the connection open until the client gives up or the server stops."""


@dataclass(frozen=True)
class Garbage:
    """Bytes in place of a chunk."""

    content: bytes = b"data: {not json\n\n"


Piece = Text | Reasoning | ToolCall | Gate | Pace | Pause | Usage | Finish | Refusal | Cut | Hang | Garbage
Turn = Sequence[Piece]


@dataclass(frozen=True)
class Attempts:
    """A turn that goes differently each time it is asked for: the first request gets the first turn, and so on; the
    last stays.
    """

    turns: Sequence[Turn]


def stepped(gate: str, pieces: Turn) -> list[Piece]:
    """The pieces with the gate before every chunk, so that a test hands them out one by one."""
    steps: list[Piece] = []
    for piece in pieces:
        match piece:
            case Text(text) | Reasoning(text):
                for part in words(text):
                    steps += [
                        Gate(gate),
                        Text([part]) if isinstance(piece, Text) else Reasoning([part], piece.field),
                    ]
            case _:
                steps += [Gate(gate), piece]
    return steps


def words(text: str | Sequence[str]) -> list[str]:
    """One item for each word with the white space before it; a list is taken as it is."""
    return re.findall(r"\s*\S+|\s+$", text) if isinstance(text, str) else list(text)
