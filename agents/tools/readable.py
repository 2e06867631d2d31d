"""The readable text of an HTML page."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

_SKIPPED = frozenset({"script", "style", "noscript", "template", "svg", "head", "iframe", "object", "select"})
_BLOCKS = frozenset(
    "address article aside blockquote br dd details div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header "
    "hr li main nav ol p pre section summary table tbody td th thead tr ul".split()
)
_HEADINGS = {"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### ", "h5": "##### ", "h6": "###### "}

_PIECE = 8_192


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self.parts: list[str] = []
        self.length = 0
        self._in_title = False
        self._skipping: str | None = None
        self._depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping is not None:
            self._depth += tag == self._skipping
            self._in_title = self._skipping == "head" and tag == "title"
            # A head that nobody closed ends where the body begins.
            if tag == "body" and self._skipping == "head":
                self._skipping = None
            return
        if tag == "title":
            self._in_title = True
        elif tag in _SKIPPED:
            self._skipping, self._depth = tag, 1
        elif tag in _BLOCKS:
            self.parts.append("\n" + _HEADINGS.get(tag, "- " if tag == "li" else ""))

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False
        if self._skipping is not None:
            if tag == self._skipping:
                self._depth -= 1
                if self._depth == 0:
                    self._skipping = None
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif self._skipping is None:
            self.parts.append(data)
            self.length += len(data)


def readable(html: str, *, enough: int, seconds: float) -> tuple[str, str]:
    """Title and text of a page, without scripts and styles; headings and list items keep a Markdown mark.

    Reading stops where `enough` characters have come together, or after about `seconds`: some broken markup costs the
    parser time that grows with the square of its length.
    """
    reader = _Reader()
    end = time.monotonic() + seconds
    for start in range(0, len(html), _PIECE):
        reader.feed(html[start : start + _PIECE])
        # Blanks are squeezed later, so a page may need more than `enough` to yield it.
        if reader.length > 4 * enough or time.monotonic() > end:
            break
    else:
        reader.close()
    return _squeezed("".join(reader.title)), _squeezed("".join(reader.parts))


def _squeezed(text: str) -> str:
    lines = (re.sub(r"[^\S\n]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
