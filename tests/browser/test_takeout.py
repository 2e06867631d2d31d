"""Taking out in a real browser: part after part, over a cut network, a pause and a reload; and what was saved, opened again."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.chat_page import until
from tests.browser.network import Network
from tests.parts.browser import NewPage, PageErrors
from tests.parts.installation import manage
from tests.parts.site_process import NewSite, Site, TemplateWith, User

CORPUS = [vector["text"] for vector in json.loads((Path(__file__).parents[1] / "xss.json").read_text(encoding="utf-8"))]
HOSTILE = """
import json
from django.contrib.auth.models import User
from tests.transcripts.test_forms import make_session
for number, text in enumerate(json.load(open("tests/xss.json", encoding="utf-8"))):
    make_session(text["text"], f"xss-{number}", owner="member-1")
"""


@pytest.fixture
def filled(new_site: NewSite, template_with: TemplateWith) -> Site:
    """A site of the test's own, with a session for each text of the corpus and some thousand plausible steps."""

    def fill(env: Mapping[str, str]) -> None:
        manage(env, "shell", "-v0", "-c", HOSTILE)
        manage(env, "filltranscripts", "--steps", "6000", "--users", "10")

    return new_site(like=template_with("transcripts", fill))


async def choose(page: Page, form: str, *, origin: str = "") -> None:
    """Take out all sessions, in this format; returns on the export's page."""
    await page.goto(f"{origin}/admin/chat/chatsession/")
    await page.locator("#action-toggle").check()
    across = page.locator(".actions .question a")
    if await across.is_visible():
        await across.click()
    await page.locator("select[name=action]").select_option("take_out")
    await page.locator(".actions button[type=submit]").click()
    await page.get_by_label(form, exact=True).check()
    await page.get_by_role("button", name="Take out").click()
    await page.wait_for_url(re.compile(r"/admin/chat/export/.*/change/"))


def plain(site: Site, user: User, page: Page) -> bytes:
    """The plain download of the page's export."""
    address = page.url.split("/admin/")[1].replace("change/", "download/")
    with httpx.Client(
        base_url=site.origin, headers={"Cookie": site.cookie(user)}, trust_env=False, timeout=60
    ) as client:
        answer = client.get(f"/admin/{address}")
        assert answer.status_code == 200
        return answer.content


@pytest.mark.long
async def test_it_goes_on_after_a_cut_network_a_pause_and_a_reload(
    new_page: NewPage, filled: Site, page_errors: PageErrors
) -> None:
    """In the end the file is that of the plain download, and no part was fetched twice but the one that was lost."""
    page_errors.allow_lost_connections()
    admin = filled.new_user(admin=True)
    async with Network(filled) as network:
        page = await new_page(admin, at=filled)
        asked: list[str] = []
        go_on = asyncio.Event()

        async def watched(route: Route) -> None:
            asked.append(route.request.url)
            if len(asked) == 2:
                network.cut()
            if len(asked) == 4:
                await go_on.wait()
            await route.continue_()

        await page.context.route(re.compile(r"/part/\?"), watched)
        await choose(page, "JSON Lines", origin=network.origin)
        box = page.locator("#taking-out")
        await expect(box).to_have_attribute("data-status", "waiting")
        await expect(page.locator("#status")).to_contain_text("The connection is lost")
        network.mend()
        await expect(box).to_have_attribute("data-status", "fetching", timeout=20_000)
        await until(lambda: len(asked) >= 4)
        await page.get_by_role("button", name="Pause").click()
        await expect(box).to_have_attribute("data-status", "paused")
        go_on.set()
        await expect(page.locator("#amount")).to_contain_text("runs · ")
        bar = page.get_by_role("progressbar", name="Fetched")
        await page.wait_for_function("() => document.getElementById('progress').value > 0")
        await expect(bar).to_have_attribute("max", re.compile(r"\d{2,}"))
        async with page.expect_download(timeout=60_000) as downloading:
            await page.reload()
        await expect(box).to_have_attribute("data-status", "done", timeout=60_000)
        content = Path(await (await downloading.value).path()).read_bytes()
        assert content == plain(filled, admin, page)
        assert len(asked) > 5
        assert len(asked) <= len(set(asked)) + 2
        # It is in this browser no longer, and is not fetched anew because its page is opened again.
        before = len(asked)
        await page.reload()
        await expect(page.locator("#status")).to_contain_text("It was saved before")
        assert len(asked) == before


@pytest.mark.long
async def test_a_saved_page_runs_nothing_and_loads_nothing(
    new_page: NewPage, filled: Site, tmp_path: Path, page_errors: PageErrors
) -> None:
    """The corpus of hostile texts, in everything that can be said, in one file that is opened in a browser."""
    admin = filled.new_user(admin=True)
    page = await new_page(admin, at=filled)
    async with page.expect_download(timeout=60_000):
        await choose(page, "Printable HTML")
    file = tmp_path / "saved.html"
    file.write_bytes(plain(filled, admin, page))
    opened = await new_page()
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    await opened.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert await opened.evaluate("() => window.pwned") is None
    texts = await opened.evaluate("() => [...document.querySelectorAll('pre')].map((pre) => pre.textContent)")
    # A parser makes one line end of each.
    assert {re.sub(r"\r\n?", "\n", text) for text in CORPUS} <= {re.sub(r"\r\n?", "\n", text) for text in texts}
    found = await opened.evaluate(
        "() => [...new Set([...document.body.querySelectorAll('*')].map((element) => element.localName))].sort()"
    )
    assert set(found) <= set("article bdi code div h1 h2 h3 h4 main p pre section span time".split())
    colour = "(element) => getComputedStyle(element).backgroundColor"
    assert await opened.locator("[data-type=thought]").first.evaluate(colour) == "rgb(227, 242, 253)"
    await opened.emulate_media(media="print", color_scheme="dark")
    assert await opened.locator("[data-type=final_answer]").first.evaluate(colour) == "rgb(232, 245, 233)"
