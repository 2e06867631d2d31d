"""The text of a page: what a reader would see, and no page that takes long to read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.tools.readable import readable


@pytest.mark.parametrize(
    ("page", "title", "text"),
    [
        ("plain", "", "plain"),
        ("<title>A\n &amp; B</title><p>one<p>two", "A & B", "one\n\ntwo".replace("\n\n", "\n")),
        ("<h1>Big</h1><h3>Small</h3>text", "", "# Big\n\n### Small\ntext"),
        ("<ul><li>x<li>y</ul>z", "", "- x\n- y\nz"),
        ("a<br>b<br/>c", "", "a\nb\nc"),
        ("a <b>bold</b>\n\t word", "", "a bold\nword"),
        ("<script>if (a<b) alert('<p>no</p>')</SCRIPT >yes", "", "yes"),
        ("<style>p{}</style><noscript>no</noscript><template>no</template>yes", "", "yes"),
        ("<svg><svg>no</svg>no</svg>yes<svg/>yes", "", "yesyes"),
        ("<head><meta><title>T</title>no</head><body>yes", "T", "yes"),
        ("<head><title>T</title>no<body>yes", "T", "yes"),
        ("<!-- <p>no</p> --><!DOCTYPE html><?xml no?>yes", "", "yes"),
        ("1 < 2 && 3 > 2 <3", "", "1 < 2 && 3 > 2 <3"),
        ("<a href='a>b' title=\"c>d\">link</a>", "", "link"),
        ("<p don't>yes", "", "yes"),
        ("&lt;script&gt; &#233; &eacute; &nosuch;", "", "<script> é é &nosuch;"),
        ("&#" + "9" * 5000 + ";", "", "&#" + "9" * 5000 + ";"),
        ("yes<script>never closed", "", "yes"),
        ("yes<!-- never closed", "", "yes"),
        ("yes<a never closed", "", "yes"),
        ('yes<a b="never closed>no', "", "yes"),
    ],
)
def test_what_a_reader_would_see(page: str, title: str, text: str) -> None:
    assert readable(page, enough=10_000) == (title, text)


def test_reading_stops_when_there_is_enough() -> None:
    _, text = readable("<p>0123456789" * 100_000, enough=100)
    assert 100 <= len(text.replace("\n", "")) <= 120


UNITS = [
    "<a",
    "<!",
    "<![",
    "</",
    "&",
    "&#",
    "&#9",
    "<!--",
    '<a b="',
    "<a x='",
    "<script>",
    "</script",
    "<script></script",
]
UNITS += [
    "<a = ",
    "<a = '",
    "<title>",
    "<title></title/ ",
    "<svg>",
    "<h1>",
    "<p>",
    "\n ",
    "<x>",
    "<![CDATA[",
    "<?",
    "<a\x00",
]


@pytest.mark.parametrize("prefix", ["", "<script>", "<title>", "<head>", "<a "])
def test_broken_markup_is_read_in_linear_time(prefix: str) -> None:
    """With a parser whose time grows with the square, one of these pages takes minutes."""
    for unit in UNITS:
        page = prefix + unit * (131_072 // len(unit))
        began = time.thread_time()
        readable(page, enough=12_000)
        assert time.thread_time() - began < 1.5, unit


@given(st.lists(st.sampled_from([*UNITS, "/", ">", '"', "'", "-->", "text", " "]) | st.text(max_size=5)).map("".join))
@settings(max_examples=200, deadline=None)
def test_no_page_is_an_error(page: str) -> None:
    title, text = readable(page, enough=1_000)
    assert title == title.strip()
    assert text == text.strip()
