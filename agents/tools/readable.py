"""The readable text of an HTML page, in time that grows with its length alone, whatever the page is made of.

Not the standard library's parser: on broken markup its time grows with the square of the length (64 kB of `<a<a<a…`
took 6 s, and other input makes it raise), and what is read here was written by anyone.
"""

from __future__ import annotations

import html
import re

# Elements whose content is no text to read, and those of them whose content is not even markup.
_SKIPPED = frozenset(("head", "noscript", "object", "select", "svg", "template"))
_RAW = frozenset(("iframe", "noembed", "noframes", "script", "style", "xmp"))
_MARKS = {"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### ", "h5": "##### ", "h6": "###### ", "li": "- "}
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "body", "br", "dd", "details", "div", "dl", "dt", "figcaption"),
        *("figure", "footer", "form", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "summary", "table"),
        *("tbody", "td", "th", "thead", "tr", "ul", *_MARKS),
    )
)

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)")
# A quote opens a value only after an equals sign; elsewhere in a tag it is a letter like any other.
_TAG_STOP = re.compile(r""">|=\s*["']""")


def readable(page: str, *, enough: int) -> tuple[str, str]:
    """Title and text of a page; headings and list items keep a Markdown mark.

    Reading stops where about `enough` characters have come together. What is never closed (a tag, a comment, a script)
    goes on to the end of the page, as in a browser.
    """
    title: list[str] = []
    parts: list[str] = []
    length = 0
    skipping, depth = "", 0
    at = 0
    while at < len(page) and length <= enough:
        start = page.find("<", at)
        tag = _TAG.match(page, start) if start >= 0 else None
        # Anything else that begins with this sign, such as "a < b", is text.
        is_markup = tag is not None or page.startswith(("<!", "<?", "</"), start)
        end = len(page) if start < 0 else start if is_markup else start + 1
        if not skipping and end > at:
            parts.append(_unescaped(page[at:end]))
            length += len(parts[-1].strip())
        if not is_markup:
            at = end
            continue
        if tag is None:
            at = _after(page, "-->", start + 4) if page.startswith("<!--", start) else _after(page, ">", start)
            continue
        closing, name = bool(tag[1]), tag[2].lower()
        at = _tag_end(page, tag.end())
        if name in _RAW and not closing:
            at = _element_end(page, name, at)
        elif name == "title" and not closing and not title:
            inside = at
            at = _element_end(page, name, at)
            title.append(_unescaped(page[inside:at].rpartition("</")[0]))
        elif skipping:
            # A head that nobody closed ends where the body begins.
            is_body = name == "body" and skipping == "head"
            depth += (-1 if closing else 1) if name == skipping else 0
            if depth == 0 or is_body:
                skipping = ""
        elif name in _SKIPPED and not closing:
            # <svg/> holds nothing.
            if page[at - 2 : at] != "/>":
                skipping, depth = name, 1
        elif name in _BLOCKS:
            parts.append("\n" if closing else "\n" + _MARKS.get(name, ""))
    return _squeezed("".join(title)).replace("\n", " "), _squeezed("".join(parts))


def _after(page: str, sign: str, start: int) -> int:
    found = page.find(sign, start)
    return len(page) if found < 0 else found + len(sign)


def _tag_end(page: str, at: int) -> int:
    while stop := _TAG_STOP.search(page, at):
        if stop[0] == ">":
            return stop.end()
        at = _after(page, stop[0][-1], stop.end())
    return len(page)


def _element_end(page: str, name: str, at: int) -> int:
    closing = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(page, at)
    return len(page) if closing is None else _after(page, ">", closing.end())


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:
        # A character reference with more digits than Python turns into a number.
        return text


def _squeezed(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
