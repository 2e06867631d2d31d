"""What makes the page plain to read and hard to trip over: choices kept, times in the reader's zone, nothing cut off."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.parts.browser import NewPage
from tests.parts.model_server import Gate, ModelServer, Text, ToolCall
from tests.parts.site_process import NewSite, Site, User

OVERFLOW = "(element) => element.scrollWidth - element.clientWidth"


async def test_the_welcome_page(new_site: NewSite, new_page: NewPage) -> None:
    """It says which model answers; a card chooses its agent, by keyboard too; an example is asked at once."""
    site = new_site(MODEL="demo", DEMO_TOKEN_SECONDS="0")
    page = await new_page(site.new_user(), at=site, viewport={"width": 1280, "height": 800})
    chat = await ChatPage(page, origin=site.origin).open()
    await expect(page.get_by_role("heading", name="Watch an agent think")).to_be_in_viewport()
    await expect(page.locator("#model")).to_have_text(re.compile("demo model"))
    cards = page.get_by_role("group", name="Who is to answer?").get_by_role("button")
    await expect(cards).to_have_count(4)
    examples = page.get_by_role("group", name="Try one of these").get_by_role("button")
    await expect(examples).to_have_count(3)
    await expect(examples.last).to_be_in_viewport(ratio=1)
    await cards.filter(has_text="Writer").focus()
    await page.keyboard.press("Space")
    await expect(page.get_by_label("Agent", exact=True)).to_have_value("writer")
    await expect(examples).to_have_count(3)
    await cards.filter(has_text="Analyst").click()
    await expect(cards.filter(has_text="Analyst")).to_have_attribute("aria-pressed", "true")
    await expect(cards.filter(has_text="Writer")).to_have_attribute("aria-pressed", "false")
    await examples.filter(has_text="square root").click()
    await chat.until_state("completed")
    await expect(chat.run().locator("[data-slot=agent]")).to_have_text("Analyst")
    await expect(chat.steps("final_answer")).to_contain_text("sqrt(1764) / 7 = 6")


async def test_the_choice_of_agent_outlives_a_reload(page: Page, model_server: ModelServer) -> None:
    """The session goes on with the agent that was asked last."""
    chat = await ChatPage(page).open()
    agent = page.get_by_label("Agent", exact=True)
    await agent.select_option("writer")
    await chat.ask(f"script:{model_server.script([Text('Yes.')])}")
    await chat.until_state("completed")
    await chat.reload()
    await expect(agent).to_have_value("writer")
    other = await chat.another_tab()
    await expect(other.page.get_by_label("Agent", exact=True)).to_have_value("writer")


async def test_a_text_half_typed_outlives_a_reload(page: Page) -> None:
    chat = await ChatPage(page).open()
    await chat.message.fill("half a question")
    await chat.reload()
    await expect(chat.message).to_have_value("half a question")
    other = await ChatPage(page).open()
    await expect(other.message).to_have_value("")


async def test_sessions_stand_in_the_list_at_once_and_in_the_readers_time(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """Two sessions with the same question are told apart by time and agent, before a reload and after it."""
    page = await new_page(user, timezone_id="Asia/Kathmandu", locale="en-GB")  # three quarters of an hour from all else
    for agent in ("writer", "analyst"):
        chat = await ChatPage(page).open()
        await page.get_by_label("Agent", exact=True).select_option(agent)
        await chat.ask(f"script:{model_server.script([Text('Yes.')])}")
        await chat.until_state("completed")
    items = page.locator("#session-list li")
    [at] = [run["created_at"] for run in site.runs(chat.session_id)]
    when = datetime.fromisoformat(f"{at}+00:00").astimezone(ZoneInfo("Asia/Kathmandu"))
    for _ in range(2):
        await expect(items).to_have_count(2)
        await expect(items.first.locator("time")).to_have_text(re.compile(f"{when:%H:}"))
        minutes = int((await items.first.locator("time").inner_text())[-2:])
        assert (minutes - when.minute) % 60 <= 1
        await expect(items.first).to_contain_text("Analyst")
        await expect(items.last).to_contain_text("Writer")
        await chat.reload()


async def test_after_stop(page: Page, model_server: ModelServer) -> None:
    """The focus is in the composer, and a stopped run can be tried again."""
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{model_server.script([Text(['Once ']), Gate('never')])}")
    await expect(chat.draft("final_answer")).to_have_text("Once")
    await chat.stop.focus()
    await page.keyboard.press("Enter")
    await chat.until_state("stopped")
    await expect(chat.stop).to_be_hidden()
    await expect(chat.message).to_be_focused()
    await chat.run().get_by_role("button", name="Try again").click()
    await expect(chat.runs).to_have_count(2)


async def test_what_another_tab_has_sent_is_not_lost_from_sight(
    page: Page, site: Site, model_server: ModelServer
) -> None:
    """What was typed in a tab that is offline stays there while another tab sends it, and until its run comes."""
    offline = await ChatPage(page).open()
    online = await offline.another_tab()
    await page.locator("#connect").click()
    await expect(offline.connection).to_have_text("Offline")
    await offline.ask(f"script:{model_server.script([Text('Yes.')])}")
    await online.until_state("completed")
    await expect(offline.outbox).to_contain_text("Sent from another tab")
    await expect(offline.outbox.get_by_role("button")).to_have_count(0)
    await page.locator("#connect").click()
    await offline.until_state("completed")
    await expect(offline.outbox).to_have_count(0)
    assert len(site.runs(offline.session_id)) == 1


async def test_what_is_short_explains_itself(page: Page, model_server: ModelServer) -> None:
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{model_server.script([Text('Yes.')])}")
    await chat.until_state("completed")
    tokens = chat.run().get_by_role("img", name=re.compile(r"\d+ tokens? read, \d+ written"))
    await expect(tokens).to_have_count(2)
    await expect(tokens.first).to_have_attribute("title", re.compile(r"\d+ tokens? read, \d+ written"))


async def test_a_date_in_a_result_is_not_broken_where_there_is_room_for_it(
    new_page: NewPage, user: User, model_server: ModelServer
) -> None:
    page = await new_page(user, viewport={"width": 360, "height": 640})
    chat = await ChatPage(page).open()
    script = model_server.script([ToolCall("current_time", {"timezone": "Europe/Berlin"})], [Text("Now.")])
    await chat.ask(f"script:{script}")
    await chat.until_state("completed")
    dates = chat.steps("tool_result").locator(".unbroken")
    await expect(dates).to_have_count(1)
    await expect(dates).to_have_text(re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$"))
    assert await dates.evaluate("(span) => span.getClientRects().length === 1 && span.offsetHeight < 30")


@pytest.mark.parametrize("name", ["event", "run", "chatsession"])
async def test_the_lists_of_the_admin_fit(new_page: NewPage, site: Site, model_server: ModelServer, name: str) -> None:
    """All columns are seen at 1280 pixels, the tool's name among them."""
    admin = site.new_user(admin=True)
    page = await new_page(admin, viewport={"width": 1280, "height": 800})
    chat = await ChatPage(page).open()
    script = model_server.script([ToolCall("current_time", {"timezone": "Europe/Berlin"})], [Text("w" * 90)])
    await chat.ask(f"script:{script} " + "w" * 90)
    await chat.until_state("completed")
    await page.goto(f"/admin/chat/{name}/")
    assert await page.locator(".results").evaluate(OVERFLOW) <= 0
    assert await page.locator("html").evaluate(OVERFLOW) <= 0
    if name == "event":
        await expect(page.get_by_role("cell", name="current_time").first).to_be_in_viewport(ratio=1)


async def test_the_focus_ring_covers_no_help(page: Page) -> None:
    await page.goto("/accounts/password_change/")
    field = page.get_by_label("New password:", exact=True)
    await field.focus()
    gap = await field.evaluate(
        """(field) => {
          const { outlineWidth, outlineOffset } = getComputedStyle(field);
          const help = document.getElementById(field.getAttribute("aria-describedby"));
          const last = [...help.querySelectorAll("li")].at(-1).getBoundingClientRect().bottom;
          return field.getBoundingClientRect().top - parseFloat(outlineWidth) - parseFloat(outlineOffset) - last;
        }"""
    )
    assert gap >= 2
