"""Operators in a real browser: the page that renews itself, the buttons, and announcements to all."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.chat_page import ChatPage, assert_equal_to_database
from tests.parts.browser import NewPage
from tests.parts.model_server import Gate, ModelServer, Text
from tests.parts.site_process import NewSite

HOSTILE = "<img src=x onerror=alert(1)> soon"


async def test_an_operator_stops_and_asks_again_and_the_user_sees_who_it_was(
    new_site: NewSite, new_page: NewPage, model_server: ModelServer
) -> None:
    """The page renews itself, keeps the focus, and can be paused."""
    site = new_site()
    user = site.new_user()
    chat = await ChatPage(await new_page(user, at=site)).open()
    desk = await new_page(site.new_user(admin=True), at=site, viewport={"width": 1280, "height": 900})
    await desk.goto("/admin/operations/")
    pause = desk.get_by_role("button", name="Pause")
    await pause.focus()
    await chat.ask(f"script:{model_server.script([Text('Once upon'), Gate('never')])}")
    await expect(chat.draft("final_answer")).to_have_text("Once upon")
    active = desk.get_by_role("table", name="Under way")
    await expect(active).to_contain_text(user.name, timeout=15_000)
    await expect(desk.locator("#operations-told")).to_contain_text("1 under way")
    await expect(pause).to_be_focused()
    await active.get_by_role("button", name="Take over").click()
    await expect(desk.locator(".messagelist")).to_contain_text("goes on from the log")
    await expect(chat.run().locator(".continued")).to_contain_text("Continued on another worker")
    await expect(chat.draft("final_answer")).to_have_text("Once upon")
    await active.get_by_role("button", name="Stop").click()
    await chat.until_state("stopped")
    await expect(chat.run().locator('[data-slot="state"]')).to_have_text("stopped by an operator")
    await desk.goto(f"/admin/chat/run/{site.runs(chat.session_id)[0]['id']}/change/")
    await desk.get_by_role("button", name="Retry").click()
    await expect(desk.locator(".messagelist")).to_contain_text("Asked again")
    await expect(chat.run(2).locator('[data-slot="by"]')).to_have_text("asked again by an operator")
    await expect(chat.draft("final_answer")).to_have_text("Once upon")
    await desk.goto("/admin/operations/")
    await pause.click()
    await expect(pause).to_have_attribute("aria-pressed", "true")
    await expect(desk.locator("#freshness")).to_contain_text("Paused")
    await chat.stop.click()
    await chat.until_state("stopped", run=2)
    await expect(active).to_contain_text(user.name)
    await pause.click()
    await expect(active).to_be_hidden()
    await assert_equal_to_database(site, chat)


async def test_an_announcement_reaches_every_page_at_once_and_later_ones(new_site: NewSite, new_page: NewPage) -> None:
    """As text alone; dismissed in one browser it stays in the other; withdrawn it is gone everywhere."""
    site = new_site(servers=1, NOTICE_SECONDS="600")
    one, two = site.new_user(), site.new_user()
    first = await ChatPage(await new_page(one, at=site)).open()
    second = await ChatPage(await new_page(two, at=site)).open()
    desk = await new_page(site.new_user(admin=True), at=site)
    await desk.goto("/admin/chat/sitenotice/add/")
    await desk.get_by_label("Text").fill(HOSTILE)
    await desk.get_by_label("Level").select_option("warning")
    await desk.get_by_role("button", name="Save", exact=True).click()
    for tab in (first, second):
        await expect(tab.page.locator("#site-notices-warning")).to_contain_text(HOSTILE)
        assert await tab.page.locator("#site-notices-warning").get_attribute("role") == "alert"
    later = await ChatPage(await new_page(two, at=site)).open()
    await expect(later.page.locator("#site-notices-warning")).to_contain_text(HOSTILE)
    beside = await first.another_tab()
    await first.page.get_by_role("button", name="Dismiss").click()
    for tab in (first, beside):
        await expect(tab.page.locator(".site-notice")).to_have_count(0)
    await first.reload()
    await expect(first.page.locator(".site-notice")).to_have_count(0)
    await expect(second.page.locator(".site-notice")).to_have_count(1)
    await desk.goto("/admin/chat/sitenotice/")
    await desk.locator("#result_list .action-select").check()
    await desk.get_by_label("Action:").select_option("withdraw")
    await desk.get_by_role("button", name="Go").click()
    for tab in (second, later):
        await expect(tab.page.locator(".site-notice")).to_have_count(0)
    fresh = await ChatPage(await new_page(two, at=site)).open()
    await expect(fresh.page.locator(".site-notice")).to_have_count(0)
