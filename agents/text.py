"""Text that every database and every client can hold."""

from __future__ import annotations

REPLACEMENT = "�"


def clean(text: str) -> str:
    """The text with NUL and lone surrogates replaced, one for one: PostgreSQL refuses the former, UTF-8 the latter."""
    if text.isascii():
        return text.replace("\x00", REPLACEMENT) if "\x00" in text else text
    return text.replace("\x00", REPLACEMENT).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
