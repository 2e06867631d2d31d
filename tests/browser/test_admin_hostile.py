"""Nothing that a user, a model or a tool wrote is ever markup in the admin: hostile text in every column of every model, and every
page of the admin opened, with a trap in it.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Error, Page, Request, Response

from tests.parts.browser import NewPage, PageErrors
from tests.parts.model_server import ModelServer
from tests.parts.site_process import Site, User
from tests.parts.trap import CORPUS, SIGNATURES, served_trap

TABS = 4  # so many pages are opened at once

# Columns that no page of the admin shows, and why.
UNSEEN: dict[str, str] = {}

# Everything that opens on a page is opened.
OPEN = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const button of document.querySelectorAll(".beside [data-slot=unseen]:not([hidden])")) button.click();
}"""
SETTLED = """() => {
  const panels = [...document.querySelectorAll("#runs details[data-panel]")];
  const isLoaded = (panel) => !["Loading…", undefined].includes(panel.querySelector("[data-slot=state]")?.textContent);
  return document.readyState === "complete" && document.getElementById("catching-up")?.hidden !== false
    && panels.every((panel) => !panel.open || isLoaded(panel));
}"""


class Visit:
    """A visitor's browser: what its pages showed, and what went wrong on them."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.context = context
        self.site = site
        self.wrong: list[str] = []
        self.numbers: dict[str, set[int]] = defaultdict(set)
        self.vectors: set[int] = set()
        self.downloads: list[tuple[str, bytes]] = []
        self._pending: dict[Page, set[Request]] = defaultdict(set)
        context.on("request", self._asked)
        context.on("requestfinished", self._answered)
        context.on("requestfailed", self._answered)
        context.on("response", self._response)

    async def all(self, pages: list[dict[str, Any]]) -> None:
        """Open each page, several at once."""
        waiting = iter(pages)

        async def work(tab: Page) -> None:
            for page in waiting:
                await self.open(tab, page)

        tabs = [await self.context.new_page() for _ in range(TABS)]
        await asyncio.gather(*map(work, tabs))

    async def open(self, tab: Page, page: dict[str, Any]) -> None:
        """Open a page and look at it when everything on it is there."""
        address = page["address"]
        try:
            answer = await tab.goto(address)
        except Error as error:
            if "Download is starting" in error.message:
                await self.download(address)
            elif "ERR_HTTP_RESPONSE_CODE_FAILURE" in error.message:
                await self.refused(address, page["status"])
            else:
                raise
            return
        assert answer is not None
        self.check(address, answer.status == page["status"], f"status {answer.status}")
        await self.look(tab, address, page["label"])

    async def look(self, tab: Page, address: str, label: str) -> None:
        await self.settled(tab)
        if await tab.evaluate("() => document.contentType") == "text/html":
            await tab.evaluate(OPEN)
            await self.settled(tab)
        caught, shown = await tab.evaluate("() => [caught, shown()]")
        self.check(address, not caught, f"caught {caught[:5]}")
        self.numbers[label] |= set(shown["numbers"])
        self.vectors |= set(shown["vectors"])

    async def settled(self, tab: Page) -> None:
        await tab.wait_for_function(SETTLED)
        while self._pending[tab]:  # noqa: ASYNC110  # a page has no such event
            await asyncio.sleep(0.01)

    async def download(self, address: str) -> None:
        """What the browser would not show, but save, as it must."""
        answer = await self.context.request.get(address)
        headers = answer.headers
        is_file = headers["content-disposition"].startswith("attachment;")
        self.check(address, is_file and headers["x-content-type-options"] == "nosniff", f"headers {headers}")
        self.downloads.append((headers["content-disposition"], await answer.body()))

    async def refused(self, address: str, status: int) -> None:
        """What the browser would not show, as there is nothing to show."""
        answer = await self.context.request.get(address)
        self.check(address, (answer.status, await answer.body()) == (status, b""), f"status {answer.status}")

    def check(self, address: str, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(f"{address}: {what}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.site.origin}/", "data:image/")):
            self.wrong.append(f"asked of another origin: {request.url}")
        self._pending[request.frame.page].add(request)

    def _answered(self, request: Request) -> None:
        self._pending[request.frame.page].discard(request)

    def _response(self, response: Response) -> None:
        if response.status >= 400 and not response.request.is_navigation_request():
            self.wrong.append(f"{response.request.frame.page.url}: {response.status} of {response.url}")


@pytest.fixture(scope="module")
def hostile_site(site_template: Path, session_model_server: ModelServer) -> Iterator[Site]:
    """A site of this module's own: hostile announcements are for all who are there."""
    site = Site(site_template, session_model_server.environment)
    try:
        site.add_server()
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def visitor(hostile_site: Site) -> User:
    return hostile_site.new_user(admin=True)


@pytest.fixture(scope="module")
def planted(hostile_site: Site, visitor: User) -> dict[str, Any]:
    """`places`: the column of each text by its number; `pages`: those of the admin."""
    code = f"from tests.parts import hostile_rows\nhostile_rows.plant({visitor.name!r})"
    said: dict[str, Any] = json.loads(hostile_site.manage("shell", "-v", "0", "-c", code).splitlines()[-1])
    return said


@pytest_asyncio.fixture(loop_scope="session")
async def visit(new_page: NewPage, hostile_site: Site, visitor: User, page_errors: PageErrors) -> AsyncIterator[Visit]:
    # The browser says it of each page that is refused; of what belongs to a page, `Visit` says it.
    page_errors.allow(r"^error: Failed to load resource: the server responded with a status of 40[0345] ")
    # Of a date in an address that is none.
    page_errors.allow(r"^warning: The specified value .* does not conform to the required format")
    page = await new_page(visitor, at=hostile_site)
    signatures = await page.evaluate(SIGNATURES, CORPUS)
    assert len(signatures) > len(CORPUS) / 3
    await page.context.add_init_script(served_trap(signatures))
    yield Visit(page.context, hostile_site)


async def test_nothing_of_hostile_text_is_markup_on_any_page(visit: Visit, planted: dict[str, Any]) -> None:
    """Every page of the admin is what it should be, nothing on it ran or came of a text, and the texts are there as text."""
    await visit.all(planted["pages"])
    assert not visit.wrong, "\n".join(visit.wrong)
    places = planted["places"]
    seen = {places[number] for numbers in visit.numbers.values() for number in numbers}
    labels = {page["label"] for page in planted["pages"]} - {""}
    of_models = {place for place in places if place.rpartition(".")[0] in labels}
    assert sorted(of_models - seen - UNSEEN.keys()) == []
    assert [CORPUS[at] for at in range(len(CORPUS)) if at not in visit.vectors] == []
