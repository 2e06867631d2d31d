"""A real browser on the real site: pages signed in, their errors noticed, a picture kept where a test fails.

Browser tests are coroutines on the session's one event loop (`tests/browser/conftest.py` sees to it), so that a test
can hold a page, a `model_server` gate and a `LiveTab` at once.

    async def test_a_step_appears(new_page, site, model_server):
        alice = site.new_user()
        page = await new_page(alice)
        other = await new_page(alice)            # a second tab, in a browser profile of its own
        await page.goto("/")
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, WebError, async_playwright, expect

from tests.parts.chromium import find
from tests.parts.site_process import Site, User

SCREENSHOTS = Path(__file__).resolve().parents[2] / "var" / "screenshots"
# What is waited for comes, on a machine that does much else, later than its five seconds: a new server imports what agents need.
EXPECT_MILLISECONDS = 20_000
FLAGS = [
    "--disable-gpu",
    # Sites of tests come and go on the same ports; HTTP/3 would be one more way to reach one that is gone.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FAILED = pytest.StashKey[bool]()


class PageErrors:
    """What the pages of a test complained of: console errors and warnings (a CSP violation is one), and uncaught
    exceptions.
    """

    def __init__(self) -> None:
        self.all: list[str] = []
        self._allowed: list[re.Pattern[str]] = []

    def allow(self, pattern: str) -> None:
        """This test provokes complaints that match; they do not fail it."""
        self._allowed.append(re.compile(pattern))

    def allow_lost_connections(self) -> None:
        """For tests that cut the network or kill the server: the browser itself writes each failed connection to the
        console.
        """
        self.allow(r"WebSocket connection to .* failed|Failed to load resource: net::ERR_")

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.all if not any(allowed.search(text) for allowed in self._allowed)]

    def watch(self, context: BrowserContext) -> None:
        context.on("console", self._console)
        context.on("weberror", self._exception)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            location = message.location
            self.all.append(f"{message.type}: {message.text} ({location.get('url')}:{location.get('lineNumber')})")

    def _exception(self, error: WebError) -> None:
        self.all.append(f"uncaught: {error.error.stack or error.error.message}")


NewPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for all tests; each page has a context of its own in it."""
    expect.set_options(timeout=EXPECT_MILLISECONDS)
    chromium = find()
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=chromium.path,
            args=FLAGS,
            # Playwright's default, said aloud: Chromium's own sandbox needs what root, containers and some kernels
            # refuse, and it only ever shows our pages.
            chromium_sandbox=False,
            env={**os.environ, **chromium.environment},
        )
        yield started
        await started.close()


@pytest.fixture
def page_errors() -> PageErrors:
    """What the test's pages complain of; `allow(pattern)` what the test provokes."""
    return PageErrors()


@pytest_asyncio.fixture(loop_scope="session")
async def new_page(
    request: pytest.FixtureRequest, browser: Browser, page_errors: PageErrors, site: Site
) -> AsyncIterator[NewPage]:
    """`await new_page(user=None, at=site, **context_options)`: a page in a new context, signed in where a user is
    given.

    `at` is any site or server. Relative addresses are the site's.
    """
    contexts: list[BrowserContext] = []

    async def make(user: User | None = None, *, at: Site | None = None, **options: object) -> Page:
        door = at or site
        context = await browser.new_context(base_url=door.origin, **options)  # type: ignore[arg-type] # any of Playwright's
        contexts.append(context)
        page_errors.watch(context)
        context.set_default_timeout(EXPECT_MILLISECONDS)
        if user is not None:
            pairs = (pair.split("=", 1) for pair in door.cookie(user).split("; "))
            await context.add_cookies([{"name": name, "value": value, "url": door.origin} for name, value in pairs])
        return await context.new_page()

    yield make
    # What they say while they are closed is of what was still loading.
    complaints = page_errors.unexpected
    if request.node.stash.get(FAILED, False) or complaints:
        await _keep_pictures(request.node.name, contexts)
    for context in contexts:
        await context.close()
    assert complaints == [], "the pages complained"


@pytest.fixture
def user(site: Site) -> User:
    """Someone on the shared site whom no other test knows."""
    return site.new_user()


@pytest_asyncio.fixture(loop_scope="session")
async def page(new_page: NewPage, user: User) -> Page:
    """A page of the shared site, signed in as `user`, at no address yet."""
    return await new_page(user)


async def _keep_pictures(test: str, contexts: list[BrowserContext]) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    pages = [page for context in contexts for page in context.pages]
    for number, page in enumerate(pages, start=1):
        path = SCREENSHOTS / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', test)}-{number}.png"
        try:
            await page.screenshot(path=path, full_page=True, timeout=5_000)
        except Exception as error:  # noqa: BLE001  # a page that can't be pictured must not hide why the test failed
            path.with_suffix(".txt").write_text(f"{page.url}: {error}\n")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fixtures learn from the item's stash whether its test failed."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report
