"""Thumbs, comments and the private switch: by mouse and keyboard, over a reload, in all tabs, and without a network."""

from __future__ import annotations

from playwright.async_api import Locator, expect

from tests.browser.chat_page import ChatPage, until
from tests.parts.browser import NewPage, PageErrors
from tests.parts.model_server import ModelServer, Text
from tests.parts.site_process import Site, User


async def answered(new_page: NewPage, user: User, model_server: ModelServer) -> ChatPage:
    chat = await ChatPage(await new_page(user)).open()
    await chat.ask(f"script:{model_server.script([Text('An answer.')])}")
    await chat.until_state("completed")
    return chat


def thumb(chat: ChatPage, name: str) -> Locator:
    return chat.run().get_by_role("button", name=f"{name} answer")


def comments(site: Site) -> list[tuple[int, str]]:
    return [(row["thumb"], row["comment"]) for row in site.query("SELECT thumb, comment FROM chat_feedback")]


async def test_a_thumb_and_a_comment_by_keyboard_in_every_tab(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """Given, changed, read in another tab and after a reload, and taken back; what a comment says is never markup."""
    chat = await answered(new_page, user, model_server)
    other = await ChatPage(await new_page(user), session_id=chat.session_id).open()
    await thumb(chat, "Good").focus()
    await chat.page.keyboard.press("Enter")
    for tab in (chat, other):
        await expect(thumb(tab, "Good")).to_have_attribute("aria-pressed", "true")
        await expect(thumb(tab, "Bad")).to_have_attribute("aria-pressed", "false")
    await expect(thumb(chat, "Good")).to_be_focused()
    await chat.page.keyboard.press("Tab")
    await chat.page.keyboard.press("Space")
    await expect(thumb(other, "Bad")).to_have_attribute("aria-pressed", "true")
    await chat.run().get_by_role("button", name="Comment").press("Enter")
    said = "<img src=x onerror=alert(1)> not this one"
    await chat.page.keyboard.type(said)
    await chat.page.keyboard.press("Control+Enter")
    for tab in (chat, other):
        await expect(tab.run().locator('[data-slot="comment"]')).to_have_text(said)
    await expect(chat.run().locator('[data-slot="feedback-state"]')).to_have_text("")
    assert [row for row in comments(site) if row[1] == said] == [(-1, said)]
    await chat.reload()
    await expect(chat.run().locator('[data-slot="comment"]')).to_have_text(said)
    await thumb(chat, "Bad").click()
    for tab in (chat, other):
        await expect(thumb(tab, "Bad")).to_have_attribute("aria-pressed", "false")
    await expect(other.run().locator('[data-slot="comment"]')).to_be_hidden()
    await until(lambda: all(row[1] != said for row in comments(site)))


async def test_feedback_that_was_given_offline_is_saved_later(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer, page_errors: PageErrors
) -> None:
    """It is said that it waits, and what was typed stays; with the connection it is saved."""
    page_errors.allow_lost_connections()
    chat = await answered(new_page, user, model_server)
    await chat.page.locator("#connect").click()
    await expect(chat.connection).to_have_text("Offline")
    await thumb(chat, "Good").click()
    await chat.run().get_by_role("button", name="Comment").click()
    said = f"typed offline in {chat.session_id}"
    await chat.page.keyboard.type(said)
    await chat.run().get_by_role("button", name="Save").click()
    await expect(chat.run().locator('[data-slot="feedback-state"]')).to_contain_text("kept here")
    assert all(row[1] != said for row in comments(site))
    await chat.page.locator("#connect").click()
    await until(lambda: any(row == (1, said) for row in comments(site)))
    await expect(chat.run().locator('[data-slot="feedback-state"]')).to_have_text("")


async def test_a_comment_that_is_too_long_is_kept_and_said(
    new_page: NewPage, user: User, model_server: ModelServer
) -> None:
    chat = await answered(new_page, user, model_server)
    await thumb(chat, "Good").click()
    await chat.run().get_by_role("button", name="Comment").click()
    text = chat.run().get_by_label("Comment on this answer")
    await text.fill("x" * 2001)
    await chat.run().get_by_role("button", name="Save").click()
    await expect(chat.run().get_by_role("alert")).to_contain_text("2,001 characters")
    await expect(text).to_have_value("x" * 2001)
    await text.fill("short")
    await chat.run().get_by_role("button", name="Save").click()
    await expect(chat.run().locator('[data-slot="comment"]')).to_have_text("short")


async def test_a_session_is_private_in_all_its_tabs(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """The switch says what it means; it stands so in other tabs and after a reload, and goes back."""
    chat = await ChatPage(await new_page(user)).open()
    other = await ChatPage(await new_page(user), session_id=chat.session_id).open()
    switch = chat.page.get_by_role("switch", name="Private")
    means = chat.page.locator("#private-means")
    await expect(means).to_have_text("Those who look after this site may read this session.")
    await switch.focus()
    await chat.page.keyboard.press("Space")
    await expect(other.page.get_by_role("switch", name="Private")).to_be_checked()
    await expect(means).to_have_text("Viewers of the administration do not see this session; auditors do.")
    await chat.reload()
    await expect(switch).to_be_checked()
    row = "SELECT is_private FROM chat_chatsession WHERE public_id = ?"
    assert site.query(row, chat.session_id) == [{"is_private": 1}]
    await other.page.get_by_role("switch", name="Private").click()
    await expect(switch).not_to_be_checked()
    assert site.query(row, chat.session_id) == [{"is_private": 0}]
