"""Nothing that a user, a model or a tool wrote is ever markup in the admin: hostile text in every column of every model, and every
page of the admin opened, with a trap in it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Error, Page, Request, Response, Route

from tests.parts.browser import NewPage, PageErrors
from tests.parts.installation import User, manage
from tests.parts.model_server import ModelServer
from tests.parts.site_process import Site, TemplateWith
from tests.parts.trap import CORPUS, HOSTILE, PROBE, SIGNATURES, served_trap

TABS = 4  # so many pages are opened at once
# A superuser.
VISITOR = User("admin-1")
PLANTED = "planted.json"

# Columns that no page of the admin shows, and why.
UNSEEN = {"auth.User.password": "a hash that is none is not shown"}

# Everything that opens on a page is opened, and what its script draws anew now and then is drawn by it at once.
OPEN = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const button of document.querySelectorAll(".beside [data-slot=unseen]:not([hidden])")) button.click();
  for (const body of document.querySelectorAll("#operations tbody")) body.replaceChildren();
  document.dispatchEvent(new Event("visibilitychange"));
}"""
SETTLED = """() => {
  const panels = [...document.querySelectorAll("#runs details[data-panel]")];
  const isLoaded = (panel) => !["Loading…", undefined].includes(panel.querySelector("[data-slot=state]")?.textContent);
  return document.readyState === "complete" && document.getElementById("catching-up")?.hidden !== false
    && panels.every((panel) => !panel.open || isLoaded(panel))
    && [...document.querySelectorAll("#operations table:not([hidden])")].every((table) => table.querySelector("tbody tr"));
}"""

# A form of the visitor's own, with the page's token.
ANSWER = """({ action, fields }) => {
  const form = document.createElement("form");
  const token = document.querySelector("input[name=csrfmiddlewaretoken]").value;
  for (const [name, value] of Object.entries({ csrfmiddlewaretoken: token, ...fields })) {
    for (const one of [value].flat()) {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name, value: String(one) });
      form.append(field);
    }
  }
  Object.assign(form, { method: "post", action });
  document.body.append(form);
  form.submit();
}"""

# Of each text as markup: whether it is an element with attributes, and how much of it was caught.
RAW = """async (texts) => {
  const place = document.body.appendChild(document.createElement("div"));
  const found = [];
  for (const text of texts) {
    const before = caught.length;
    place.innerHTML = text;
    const isMarkup = [...place.querySelectorAll("*")].some((element) => signatureOf(element) !== "");
    await null;
    found.push([isMarkup, caught.length - before]);
  }
  place.remove();
  return found;
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
                try:
                    await self.open(tab, page)
                except Error as error:
                    self.wrong.append(f"{page['address']}: {error.message}")

        tabs = [*self.context.pages, *[await self.context.new_page() for _ in range(TABS - 1)]]
        await asyncio.gather(*map(work, tabs))

    async def open(self, tab: Page, page: dict[str, Any]) -> None:
        """Open a page and look at it when everything on it is there."""
        address = page["address"]
        if page["status"] == 405:
            await self.refused(address)
            return
        try:
            answer = await tab.goto(address)
        except Error as error:
            if "Download is starting" not in error.message:
                raise
            await self.download(address)
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

    async def answer(self, tab: Page, at: str, action: str, fields: dict[str, Any]) -> None:
        """Answer a form of the page `at`, and look at what comes of it."""
        await tab.goto(at)
        async with tab.expect_navigation(wait_until="load"):
            await tab.evaluate(ANSWER, {"action": action, "fields": fields})
        await self.look(tab, f"{action} {fields}", "")

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

    async def refused(self, address: str) -> None:
        """Nothing, which a browser shows as a page of its own."""
        answer = await self.context.request.get(address)
        self.check(address, (answer.status, await answer.body()) == (405, b""), f"status {answer.status}")

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
def hostile_template(template_with: TemplateWith) -> Path:
    """A DATA_DIR with everything planted, and in `PLANTED` what was said of it."""

    def plant(env: Mapping[str, str]) -> None:
        code = f"from tests.parts import hostile_rows\nhostile_rows.plant({VISITOR.name!r})"
        said = manage(env, "shell", "-v", "0", "-c", code).splitlines()[-1]
        (Path(env["DATA_DIR"]) / PLANTED).write_text(said, encoding="utf-8")

    return template_with("hostile", plant)


@pytest.fixture(scope="module")
def hostile_site(hostile_template: Path, session_model_server: ModelServer) -> Iterator[Site]:
    """A site of this module's own: hostile announcements are for all who are there."""
    site = Site(hostile_template, session_model_server.environment)
    try:
        site.add_server()
        yield site
    finally:
        site.close()


@pytest.fixture(scope="module")
def planted(hostile_template: Path) -> dict[str, Any]:
    """`places`: the column of each text by its number; `pages`: those of the admin."""
    said: dict[str, Any] = json.loads((hostile_template / PLANTED).read_text(encoding="utf-8"))
    return said


@pytest_asyncio.fixture(loop_scope="session")
async def visit(new_page: NewPage, hostile_site: Site, page_errors: PageErrors) -> AsyncIterator[Visit]:
    # The browser says it of each page that is refused; of what belongs to a page, `Visit` says it.
    page_errors.allow(r"^error: Failed to load resource: the server responded with a status of 40[0345] ")
    # Of a date or a number in an address that is none.
    page_errors.allow(r"^warning: The specified value ")
    page = await new_page(VISITOR, at=hostile_site, accept_downloads=False)
    signatures = await page.evaluate(SIGNATURES, CORPUS)
    assert len(signatures) > len(CORPUS) / 3
    await page.context.add_init_script(served_trap(signatures))
    yield Visit(page.context, hostile_site)


@pytest.mark.long
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


@pytest.mark.long
async def test_nothing_of_hostile_text_is_markup_on_the_answers_to_forms(visit: Visit, planted: dict[str, Any]) -> None:
    """What a page says after something hostile was filled in, chosen or confirmed; no run, rule or user is lost by it."""
    (tab,) = visit.context.pages
    for at, action, fields in planted["answers"]:
        await visit.answer(tab, at, action, fields)
    assert not visit.wrong, "\n".join(visit.wrong)
    assert 0 in visit.numbers[""]
    # A name that let nobody in, and one that was no user's.
    await visit.context.clear_cookies()
    wrong = {"username": HOSTILE, "password": HOSTILE, "next": HOSTILE}
    await visit.answer(tab, "/admin/login/", f"/admin/login/?next={quote(HOSTILE)}", wrong)
    assert not visit.wrong, "\n".join(visit.wrong)


async def test_a_printed_export_is_harmless_wherever_it_is_opened(visit: Visit, planted: dict[str, Any]) -> None:
    """The file, opened without any policy of the site's."""
    (tab,) = visit.context.pages
    for page in planted["pages"]:
        if page["address"].endswith("/download/"):
            await visit.open(tab, page)
    ((_, printed),) = [(name, body) for name, body in visit.downloads if '.html"' in name]

    async def saved(route: Route) -> None:
        await route.fulfill(body=printed, content_type="text/html; charset=utf-8")

    address = f"{visit.site.origin}/saved.html"
    await visit.context.route(address, saved)
    await visit.open(tab, {"address": address, "status": 200, "label": ""})
    assert not visit.wrong, "\n".join(visit.wrong)
    assert len(visit.vectors) > len(CORPUS) / 2


async def nowhere(route: Route) -> None:
    """An answer that lets a page stay where it is."""
    await route.fulfill(status=204)


async def test_the_trap_for_what_a_server_wrote_works(visit: Visit, page_errors: PageErrors) -> None:
    """Put on a page as it is, every vector that is an element with attributes is caught, and whatever has the probe before it."""
    page_errors.allow("Content Security Policy|ERR_BLOCKED_BY_CSP|Unsafe attempt to load URL data:")
    await visit.context.route(re.compile(r"^https://"), nowhere)

    async def caught_of(texts: list[str]) -> list[Any]:
        """In a page of its own: some of them lead elsewhere, a moment later."""
        page = await visit.context.new_page()
        await page.goto("/admin/")
        found: list[Any] = await page.evaluate(RAW, texts)
        await page.close()
        return found

    caught = await caught_of(CORPUS)
    assert [text for text, (is_markup, count) in zip(CORPUS, caught, strict=True) if is_markup and not count] == []
    assert sum(is_markup for is_markup, _ in caught) > len(CORPUS) / 3
    probed = await caught_of([f"{PROBE.format(7)} {text}" for text in CORPUS])
    assert all(count for _, count in probed)
    in_attributes = await caught_of([f"<input value={mark}{PROBE.format(7)}{mark}>" for mark in ("'", '"')])
    assert all(count for _, count in in_attributes)
    # That they load and run what they can is why they are forbidden.
    visit.wrong.clear()
