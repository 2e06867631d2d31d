"""Processes that go and come back, as the reader of a page sees it."""

from __future__ import annotations

import asyncio
import math
import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.chat_page import ChatPage, assert_equal_to_database, until
from tests.parts.browser import NewPage, PageErrors
from tests.parts.model_server import Gate, ModelServer, Text
from tests.parts.site_process import NewSite, Site

RESTARTING = re.compile(r"^The server is restarting, back in \d+ s$")
# The moment of the return is drawn at random; here it is always the last.
LAST_MOMENT = "Math.random = () => 0.999999"
# A run in whose middle a tool that must not be repeated was at work when its process was lost.
LOST_IN_A_TOOL = """
from django.db import transaction
from agents.steps import Step, StepType
from chat import events, runs
from chat.models import ChatSession
with transaction.atomic():
    session = ChatSession.objects.get(public_id={session!r})
    run_id = runs.accept(session.pk, message="Write to Ada.", agent="researcher", enable_reasoning={reasoning}).run_id
    runs.claim(session.pk, worker="gone", model="demo")
    use = Step(number=1, type=StepType.TOOL_USE, content="send_mail", iteration=1, tool_name="send_mail", call_id="1")
    events.record_steps(run_id, attempt=1, steps=[use])
"""


def said(site: Site, chat: ChatPage) -> list[str]:
    return [run["message"] for run in site.runs(chat.session_id)]


async def test_a_server_that_restarts(new_page: NewPage, new_site: NewSite, page_errors: PageErrors) -> None:
    """The page says that it restarts and when it comes back, can come at once, and has and sends everything then."""
    page_errors.allow_lost_connections()
    site = new_site(DRAIN_SECONDS="60")
    [server] = site.servers
    page = await new_page(site.new_user(), at=site)
    await page.add_init_script(LAST_MOMENT)
    chat = await ChatPage(page).open()
    await chat.ask("before")
    await chat.until_state("completed")
    assert await asyncio.to_thread(server.term) == 0
    await expect(chat.connection).to_have_text(RESTARTING)
    assert await page.evaluate("glassbox.socket.status.tries") == 0
    await chat.ask("meanwhile")
    await expect(chat.outbox).to_contain_text("Waiting to be sent")
    await asyncio.to_thread(server.start)
    await expect(chat.connection).to_have_text(RESTARTING)
    await page.get_by_role("button", name="Retry now").click()
    await chat.until_current()
    await expect(chat.connection).to_have_text("Connected")
    await chat.until_state("completed", run=2)
    await expect(chat.outbox).to_have_count(0)
    assert said(site, chat) == ["before", "meanwhile"]
    await assert_equal_to_database(site, chat)


async def test_it_comes_back_by_itself_to_another_server(
    new_page: NewPage, new_site: NewSite, page_errors: PageErrors
) -> None:
    """Nobody has to do anything: within the seconds that the server named, the page is where it was."""
    page_errors.allow_lost_connections()
    site = new_site(DRAIN_SECONDS="2")
    [server] = site.servers
    chat = await ChatPage(await new_page(site.new_user(), at=site)).open()
    beside = await chat.another_tab()
    await chat.ask("before")
    await chat.until_state("completed")
    assert await asyncio.to_thread(server.term) == 0
    await asyncio.to_thread(server.start)
    for tab in (chat, beside):
        await tab.until_current(timeout=40)
    await assert_equal_to_database(site, chat, beside)


@pytest.mark.parametrize(("end", "why"), [("kill", "was lost"), ("term", "handed the run over")])
async def test_a_run_goes_on_elsewhere(
    new_page: NewPage, new_site: NewSite, model_server: ModelServer, page_errors: PageErrors, end: str, why: str
) -> None:
    """The half-written step goes from every tab and is written anew; that another worker went on stands there for good."""
    page_errors.allow_lost_connections()
    site = new_site(DRAIN_SECONDS="2")
    [server] = site.servers
    chat = await ChatPage(await new_page(site.new_user(), at=site)).open()
    beside = await chat.another_tab()
    script = model_server.script([Text(["One "]), Gate("a"), Text(["two."])])
    await chat.ask(f"script:{script}")
    for tab in (chat, beside):
        await expect(tab.draft("final_answer")).to_have_text("One", timeout=20_000)
    await asyncio.to_thread(server.kill if end == "kill" else server.term)
    model_server.open("a", math.inf)
    await asyncio.to_thread(server.start)
    for tab in (chat, beside):
        await tab.until_state("completed", timeout=60)
    await assert_equal_to_database(site, chat, beside)
    await chat.reload()
    for tab in (chat, beside):
        mark = tab.page.locator("#runs .continued")
        await expect(mark).to_have_count(1)
        await expect(mark.locator("span").first).to_have_text("Continued on another worker")
        await expect(mark).to_have_attribute("title", re.compile(why))
        await expect(mark.locator("[data-slot=why]")).to_contain_text(why)
        await expect(tab.steps()).to_have_count(1)


async def test_a_tool_whose_outcome_is_unknown(page: Page, site: Site) -> None:
    """It is said plainly, and both ways on are buttons that the keyboard reaches: ask again, or take it as done."""
    chat = await ChatPage(page).open()
    await asyncio.to_thread(site.manage, "shell", "-c", LOST_IN_A_TOOL.format(session=chat.session_id, reasoning=True))
    await chat.until_state("failed")
    result = chat.steps("tool_result")
    await expect(result.locator("[data-slot=mark]")).to_have_text("outcome unknown")
    await expect(result.locator("[data-slot=body]")).to_have_text(re.compile("^Outcome unknown: "))
    await expect(result).not_to_contain_text("failed")
    again = chat.run().get_by_role("button", name="Try again")
    done = chat.run().get_by_role("button", name="It was done, go on")
    await again.focus()
    await page.keyboard.press("Tab")
    await expect(done).to_be_focused()
    await page.keyboard.press("Enter")
    await chat.until_state("completed", run=2)
    await page.keyboard.press("Shift+Tab")
    await expect(again).to_be_focused()
    await page.keyboard.press("Enter")
    await chat.until_state("completed", run=3)
    told = "The call of send_mail may be taken as done. Go on."
    assert said(site, chat) == ["Write to Ada.", told, "Write to Ada."]
    for number in (2, 3):
        await expect(chat.run(number).locator(".run-end").get_by_role("button")).to_have_count(0)
    await assert_equal_to_database(site, chat)


async def test_an_unknown_outcome_in_a_run_that_shows_no_reasoning(page: Page, site: Site) -> None:
    """Its steps are not shown, so the message names no tool; what is asked is asked in the way of that run."""
    chat = await ChatPage(page).open()
    await asyncio.to_thread(site.manage, "shell", "-c", LOST_IN_A_TOOL.format(session=chat.session_id, reasoning=False))
    await chat.until_state("failed")
    await chat.run().get_by_role("button", name="It was done, go on").click()
    await chat.until_state("completed", run=2)
    await until(lambda: len(site.runs(chat.session_id)) == 2)
    run = site.runs(chat.session_id)[1]
    assert run["message"] == "The tool call whose outcome is unknown may be taken as done. Go on."
    assert not run["enable_reasoning"]
