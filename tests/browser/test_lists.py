"""The lists of the admin in a real browser: filters by keyboard alone, their state in the address, and nothing cut off."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.browser.chat_page import ChatPage
from tests.parts.browser import NewPage
from tests.parts.model_server import ModelServer, Text
from tests.parts.site_process import NewSite


@pytest.mark.long
async def test_a_list_is_narrowed_and_saved_by_keyboard(
    new_site: NewSite, new_page: NewPage, model_server: ModelServer
) -> None:
    site = new_site()
    admin = site.new_user(admin=True)
    page = await new_page(admin, at=site, viewport={"width": 1280, "height": 900})
    chat = await ChatPage(page, origin=site.origin).open()
    await chat.ask(f"script:{model_server.script([Text('The lighthouse stands.')])}")
    await chat.until_state("completed")
    await page.goto(f"{site.origin}/admin/chat/run/")
    filters = page.get_by_role("navigation", name="Filter")
    await filters.get_by_label(re.compile("^Agent")).focus()
    await page.keyboard.type("nobody")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"[?&]agent=nobody"))
    await expect(page.locator(".paginator")).to_contain_text("0 runs")
    await filters.get_by_role("link", name="Clear agent").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator(".paginator")).to_contain_text("1 run")
    low = filters.get_by_label(re.compile(r"^From \(duration"))
    await low.focus()
    await page.keyboard.type("0")
    await page.keyboard.press("Tab")
    await page.keyboard.type("500")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"duration_from=0&duration_to=500"))
    await page.get_by_role("textbox", name="Search").fill("lighthouse")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"duration_to=500"))
    await expect(page.locator("#result_list tbody tr")).to_have_count(1)
    await page.get_by_text("Save this list").focus()
    await page.keyboard.press("Enter")
    await page.get_by_label("Name", exact=True).fill("Quick lighthouses")
    await page.keyboard.press("Enter")
    saved = page.get_by_role("navigation", name="Saved filters").get_by_role(
        "link", name="Quick lighthouses", exact=True
    )
    await expect(saved).to_have_attribute("aria-current", "page")
    await page.goto(f"{site.origin}/admin/chat/run/")
    await saved.focus()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"q=lighthouse"))
    await expect(page.locator("#result_list tbody tr")).to_have_count(1)
    # For the lists' own columns there is room; what is too wide scrolls in its frame, not the page.
    for name in ("chatsession", "run", "event"):
        await page.goto(f"{site.origin}/admin/chat/{name}/")
        too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(too_wide) <= 0, name
