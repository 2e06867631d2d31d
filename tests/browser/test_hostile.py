"""Hostile text: whatever a model, a tool or a person writes is shown as text, and nothing in it runs or loads.

`tests/xss.json` goes through the whole way, from the model's tokens to the page, cut where it hurts. A trap is laid in
each page before its first script: it notes every element, attribute and script that must not be there, however briefly.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, expect

from tests.browser.chat_page import ChatPage, assert_equal_to_database
from tests.parts.browser import NewPage, PageErrors
from tests.parts.model_server import ModelServer, Pause, Piece, Reasoning, Text, ToolCall
from tests.parts.site_process import Site, User
from tests.parts.trap import CORPUS, TRAP

SHARES = 4  # as many tabs work through the corpus at once

# What the model server would take for the name of a script: the address of a `javascript:` link.
SCRIPTS = {name for text in CORPUS for name in re.findall(r"script:([\w-]+)", text)}


class Watch:
    """The pages of a test, trapped, and all that they asked the network for."""

    def __init__(self, new_page: NewPage, user: User, site: Site) -> None:
        self._new_page = new_page
        self._user = user
        self._origins = (site.origin + "/", site.origin.replace("http", "ws", 1) + "/")
        self.requests: list[str] = []
        self.pages: list[Page] = []

    async def open(self, session_id: str = "") -> ChatPage:
        """A session in a page of its own; a new session unless one is named."""
        page = await self._new_page(self._user)
        await page.add_init_script(f"({TRAP})()")
        page.context.on("request", self._asked)
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        self.pages.append(page)
        return await ChatPage(page, session_id=session_id).open()

    async def assert_harmless(self) -> None:
        """Nothing ran, nothing forbidden was ever on a page, and nothing was asked of another origin."""
        for page in self.pages:
            assert await page.evaluate("() => caught") == []
        assert self.requests
        assert [url for url in self.requests if not url.startswith(self._origins)] == []

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)


@pytest_asyncio.fixture(loop_scope="session")
async def watch(new_page: NewPage, user: User, site: Site, model_server: ModelServer) -> AsyncIterator[Watch]:
    for name in SCRIPTS:
        model_server.script([Text("You said so.")], name=name)
    watch = Watch(new_page, user, site)
    yield watch
    await watch.assert_harmless()


def whole(text: str) -> list[str]:
    """In one piece."""
    return [text]


def every_character(text: str) -> list[str]:
    """Each character a token."""
    return list(text)


def in_tags_and_entities(text: str) -> list[str]:
    """Cut within what a parser would take as one: after `<`, `&`, `(` and `:`, and before `>`, `;`, `)` and `=`."""
    return [part for part in re.split(r"(?<=[<&(:\[])|(?=[>;)=\]])", text) if part]


CUTS: Sequence[Callable[[str], list[str]]] = (whole, every_character, in_tags_and_entities)


def turn(number: int, one: str, other: str) -> list[Piece]:
    """A model's turn: one text as reasoning, the other as what is said before a tool call, both as arguments."""
    return [
        *in_two(Reasoning, CUTS[number % 3](one)),
        *in_two(Text, CUTS[(number + 1) % 3](other)),
        ToolCall("calculator", {"expression": one}, fragments=5),
        ToolCall("calculator", {"expression": other}, fragments=2),
    ]


def in_two(piece: type[Reasoning | Text], parts: list[str]) -> list[Piece]:
    """The parts with a pause in their middle, in which a page draws what it has."""
    middle = len(parts) // 2
    return [piece(parts[:middle]), Pause(0.03), piece(parts[middle:]), Pause(0.03)]


def test_the_cuts_lose_nothing() -> None:
    """Whatever the cut, the pieces are the text; and the corpus is as large as promised."""
    assert len(CORPUS) >= 60
    for cut in CUTS:
        assert ["".join(cut(text)) for text in CORPUS] == CORPUS


@pytest.mark.long
async def test_reasoning_answers_and_arguments(watch: Watch, site: Site, model_server: ModelServer) -> None:
    """Every vector, said by a model as reasoning, text and tool arguments and returned by a tool as an error, is harmless."""

    async def work_through(texts: list[str]) -> ChatPage:
        chat = await watch.open()
        pairs = zip(texts[::2], texts[1::2], strict=True)
        script = model_server.script(*(turn(number, *pair) for number, pair in enumerate(pairs)))
        await chat.ask(f"script:{script}")
        await chat.until_state("completed", timeout=60)
        return chat

    shares = [[*CORPUS, *CORPUS[: -len(CORPUS) % (2 * SHARES)]][share::SHARES] for share in range(SHARES)]
    chats = await asyncio.gather(*map(work_through, shares))
    for share, chat in zip(shares, chats, strict=True):
        uses = [row for row in site.events(chat.session_id) if row["step_type"] == "tool_use"]
        assert [row["data"]["arguments"]["expression"] for row in uses] == share
        # As text they are all there.
        for number, text in enumerate(share):
            shown = await chat.steps("tool_use").nth(number).locator("pre").text_content()
            assert json.loads(shown or "") == {"expression": text}
        await watch.assert_harmless()
        await chat.reload()
        await expect(chat.steps("tool_use")).to_have_count(len(uses))
        await chat.page.locator("#debug summary").click()
        await expect(chat.page.locator("#debug-frames li").first).to_be_visible()
    await watch.assert_harmless()


@pytest.mark.long
async def test_final_answers(watch: Watch, model_server: ModelServer) -> None:
    """Every vector as the answer that stays, cut in each of the three ways; many in one answer, too."""

    async def answer(chat: ChatPage, number: int, pieces: list[str]) -> None:
        await chat.ask(f"script:{model_server.script([Text(pieces)])}")
        await chat.until_state("completed", run=number)

    chats = await asyncio.gather(*(watch.open() for _ in range(3)))

    async def work_through(chat: ChatPage, cut: Callable[[str], list[str]]) -> None:
        # Blocks of one answer: what one leaves open, the next finds open.
        for number, first in enumerate(range(0, len(CORPUS), 20), start=1):
            await answer(chat, number, cut("\n\n".join(CORPUS[first : first + 20])))

    await asyncio.gather(*(work_through(chat, cut) for chat, cut in zip(chats, CUTS, strict=True)))
    bodies = [await chat.steps("final_answer").locator("[data-slot=body]").all_text_contents() for chat in chats]
    # However it was cut, the same stands there.
    assert bodies[0] == bodies[1] == bodies[2]
    assert "<script>window.pwned=1</script>" in bodies[0][0]


@pytest.mark.long
async def test_messages_and_titles(watch: Watch, site: Site) -> None:
    """A vector as a message is shown to the letter, and as a session's title in the list, the heading and the window."""
    chat = await watch.open()
    some = CORPUS[::8]
    for number, text in enumerate(some, start=1):
        # The message without a script is answered with its own words.
        await chat.ask(text)
        await chat.until_state("completed", run=number)
        shown = await chat.run(number).locator(".bubble-text").text_content()
        assert shown == text
    await assert_equal_texts(site, chat)

    async def begin(text: str) -> ChatPage:
        chat = await watch.open()
        await chat.ask(text)
        await chat.until_state("completed")
        return chat

    *_, last = await asyncio.gather(*map(begin, CORPUS[1::14]))
    await watch.assert_harmless()
    await last.reload()
    titles = {
        session.split("\n")[0].strip() for session in await last.page.locator("#session-list li").all_inner_texts()
    }
    for text in CORPUS[1::14]:
        assert any(title and " ".join(text.split())[:80].strip().startswith(title) for title in titles), text
    assert (await last.page.title()).startswith(" ".join(CORPUS[1::14][-1].split())[:20])


async def assert_equal_texts(site: Site, chat: ChatPage) -> None:
    """The page's transcript is the database's."""
    await chat.until_current()
    assert await chat.page.evaluate("() => glassbox.state.runs.map(({ message }) => message)") == [
        run["message"] for run in site.runs(chat.session_id)
    ]


async def test_tool_results_and_tools_that_do_not_exist(watch: Watch, site: Site, model_server: ModelServer) -> None:
    """What a tool brings from an earlier session, and the name of a tool that a model makes up, are text."""
    earlier = await watch.open()
    some = CORPUS[2::8]
    for number, text in enumerate(some, start=1):
        await earlier.ask(f"needle{number}\n{text}")
        await earlier.until_state("completed", run=number)
    chat = await watch.open()
    calls = [ToolCall("search_sessions", {"query": f"needle{number}"}) for number in range(1, len(some) + 1)]
    made_up = [ToolCall(text[:100], {text: [text]}) for text in some]
    script = model_server.script(calls, made_up, [Text("Done.")])
    await chat.ask(f"script:{script}")
    await chat.until_state("completed")
    results = await chat.steps("tool_result").locator("[data-slot=body]").all_text_contents()
    assert len(results) == 2 * len(some)
    for number, text in enumerate(some):
        first = "".join(text.split())[:40]
        assert any(f"needle{number + 1}" in result and first in "".join(result.split()) for result in results)
    names = await chat.steps("tool_use").locator("[data-slot=tool]").all_text_contents()
    assert names[len(some) :] == [text[:100] for text in some]
    await assert_equal_to_database(site, chat)


async def test_the_trap_works(new_page: NewPage, user: User, site: Site, page_errors: PageErrors) -> None:
    """What these tests rely on: a page that did put hostile text into its markup would be caught."""
    page_errors.allow("Content Security Policy|Content-Security-Policy|ERR_BLOCKED_BY_CSP")
    watch = Watch(new_page, user, site)
    chat = await watch.open()
    await chat.page.evaluate(
        """() => {
          const place = document.createElement("div");
          document.getElementById("runs").append(place);
          place.innerHTML = "<img src=https://evil.invalid/x onerror=window.pwned=1><a href=javascript:1>x</a>";
        }"""
    )
    await chat.page.wait_for_function("() => caught.length >= 4")
    caught = "\n".join(await chat.page.evaluate("() => caught"))
    for word in ("element: <img", "attribute: onerror", "link: javascript:", "CSP: img-src"):
        assert word in caught
