"""The dashboard in a real browser: plots are drawn, read by keyboard and as tables, legible in both schemes, and names are text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.test_keyboard import CONTRASTS
from tests.parts.browser import NewPage
from tests.parts.installation import manage
from tests.parts.site_process import NewSite, Site, TemplateWith
from tests.parts.trap import CORPUS, TRAP

FILL = """
import json, random, sys
from pathlib import Path
from django.contrib.auth.models import User
from django.utils import timezone
from chat import tool_counts
from chat.models import Run
from tests.site import random_runs
from tests.site.rows import make_session
random_runs.fill(random.Random(3), count=60)
if HOSTILE:
    for number, text in enumerate(json.loads(Path("tests/xss.json").read_text(encoding="utf-8"))):
        name = text["text"].replace(chr(0), "")
        user = User.objects.create(username=f"{name[:140]} {number}")
        make_session(user, f"x{number}", tool=name[:100]).runs.update(agent=name[:64], model=name[:128])
    tool_counts.rebuild()
"""
# Whether anything but the ground is on a canvas.
IS_DRAWN = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.some((value, place) => place % 4 === 3 && value > 0);
}"""


def fill(env: Mapping[str, str], *, hostile: bool = False) -> None:
    manage(env, "shell", "-c", FILL.replace("HOSTILE", str(hostile)))


@pytest.fixture
def filled(new_site: NewSite, template_with: TemplateWith) -> Site:
    """A site with runs of all kinds."""
    return new_site(like=template_with("runs", fill))


async def opened(new_page: NewPage, site: Site, query: str = "", **options: object) -> Page:
    page = await new_page(site.new_user(admin=True), at=site, **options)
    await page.goto(f"/admin/dashboard/{query}")
    await expect(page.locator("#dashboard[data-drawn]")).to_be_attached()
    return page


def plot(page: Page, name: str) -> Locator:
    return page.locator(f"section[aria-labelledby={name}]")


async def test_every_plot_is_drawn(new_page: NewPage, filled: Site) -> None:
    """On a canvas of its own, with something on it, and a key that names its series."""
    page = await opened(new_page, filled, "?range=30d")
    canvases = page.locator(".plot canvas")
    await expect(canvases).to_have_count(18)
    for number in range(18):
        assert await canvases.nth(number).evaluate(IS_DRAWN), number
    for name in ("runs", "failure-rate", "duration", "first-token", "tokens", "cost", "tool-calls", "feedback"):
        for kind in ("time", "group"):
            await expect(plot(page, f"{name}-{kind}").locator(".plot-key li").first).to_be_visible()


async def test_a_plot_is_read_by_keyboard(new_page: NewPage, filled: Site) -> None:
    """Its place is a slider, and what it tells is what the table says."""
    page = await opened(new_page, filled, "?range=30d&by=tool")
    for name, back in (("runs-time", "ArrowLeft"), ("tool-calls-group", "ArrowDown")):
        section = plot(page, name)
        rows = section.locator("tbody tr")
        slider = section.get_by_role("slider")
        await expect(slider).to_have_accessible_name(re.compile("^(Runs and failures|Tool calls and errors): plot"))
        count = min(10, await rows.count()) if name.endswith("group") else await rows.count()
        assert count > 2
        await slider.focus()
        at = 0 if name.endswith("group") else count - 1
        for key, place in (
            (None, at),
            (back, at + 1 if at == 0 else at - 1),
            ("Home", 0),
            ("End", count - 1),
            ("Home", 0),
        ):
            if key:
                await page.keyboard.press(key)
            label, *numbers = [text.strip() for text in await rows.nth(place).locator("th, td").all_text_contents()]
            heads = (await section.locator("thead th").all_text_contents())[1:]
            said = f"{label}: {', '.join(f'{head} {number}' for head, number in zip(heads, numbers, strict=True))}"
            await expect(slider).to_have_attribute("aria-valuetext", said)
            await expect(slider).to_have_attribute("aria-valuenow", str(place + 1))
            await expect(section.locator(".plot-reading")).to_have_text(said)


async def test_a_table_is_shown_on_demand_and_always_there_to_hear(new_page: NewPage, filled: Site) -> None:
    page = await opened(new_page, filled, "?range=7d")
    section = plot(page, "runs-time")
    table = page.get_by_role("table", name="Runs and failures by day")
    # Folded away it is out of sight, and has its place in what is read aloud; its links are not in the keyboard's way.
    await expect(table).to_have_count(1)
    box = await section.locator(".plot-table").bounding_box()
    assert box
    assert box["width"] <= 1
    button = section.get_by_role("button", name="Table of runs and failures")
    await expect(button).to_have_attribute("aria-expanded", "false")
    assert await section.locator("td a").first.get_attribute("tabindex") == "-1"
    await button.focus()
    await page.keyboard.press("Enter")
    await expect(button).to_have_attribute("aria-expanded", "true")
    box = await section.locator(".plot-table").bounding_box()
    assert box
    assert box["width"] > 100
    await page.keyboard.press("Tab")  # the table itself, which may scroll
    await page.keyboard.press("Tab")
    assert await page.evaluate("() => document.activeElement.matches('section[aria-labelledby=runs-time] td a')")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/admin/chat/run/?**")
    await page.go_back()
    await expect(page.locator("#dashboard[data-drawn]")).to_be_attached()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_is_legible_in_both_schemes(new_page: NewPage, filled: Site, scheme: str) -> None:
    """Text by WCAG's 4.5 to 1; the colours of the plots by its 3 to 1, and they follow the admin's own switch."""
    page = await opened(new_page, filled, "?range=30d", color_scheme=scheme)
    for button in await page.locator(".plot-toggle").all():
        await button.click()
    contrasts = await page.evaluate(CONTRASTS)
    ours = [one for one in contrasts if one["ratio"] < 4.5 and "disabled" not in one["where"]]
    inside = await page.evaluate("() => document.getElementById('dashboard').textContent")
    assert [one for one in ours if one["words"] in inside] == []
    before = await page.locator(".plot canvas").first.evaluate("(canvas) => canvas.toDataURL()")
    other = "dark" if scheme == "light" else "light"
    await page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", other)
    await page.wait_for_function(
        "(before) => document.querySelector('.plot canvas').toDataURL() !== before", arg=before
    )


async def test_a_narrow_screen_shows_all_of_it(new_page: NewPage, filled: Site) -> None:
    page = await opened(new_page, filled, viewport={"width": 360, "height": 700})
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


async def test_without_scripts_the_tables_stand_there(new_page: NewPage, filled: Site) -> None:
    page = await new_page(filled.new_user(admin=True), at=filled, java_script_enabled=False)
    await page.goto("/admin/dashboard/?range=7d")
    await expect(page.get_by_role("table", name="Cost by day")).to_be_visible()
    await expect(page.locator(".plot-toggle").first).to_be_hidden()


@pytest.mark.long
async def test_hostile_names_are_text(new_page: NewPage, new_site: NewSite) -> None:
    """As labels of plots and in tables: nothing runs, nothing is loaded, no element is made of them."""
    site = new_site()
    fill(site.env, hostile=True)
    page = await new_page(site.new_user(admin=True), at=site)
    await page.add_init_script(f"({TRAP})()")
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    shown = set()
    for by in ("agent", "model", "tool", "user"):
        await page.goto(f"/admin/dashboard/?by={by}&range=7d")
        await expect(page.locator("#dashboard[data-drawn='18']")).to_be_attached()
        for section in await page.locator("[data-layout=group]").all():
            slider = section.get_by_role("slider")
            if await slider.count():
                await slider.focus()
                for _ in range(10):
                    await page.keyboard.press("ArrowDown")
        # The admin's own script moves its navigation about.
        caught = [what for what in await page.evaluate("() => caught") if not what.startswith("link")]
        assert caught == []
        shown |= set(await page.locator("[data-layout=group] tbody th").all_text_contents())
    assert [url for url in asked if not url.startswith(site.origin)] == []
    assert sum(any(name and name in text for name in (one[:30] for one in CORPUS)) for text in shown) > 20


def test_the_corpus_is_the_one_of_the_other_pages() -> None:
    vectors = json.loads((Path(__file__).parents[1] / "xss.json").read_text(encoding="utf-8"))
    assert [vector["text"] for vector in vectors] == CORPUS
