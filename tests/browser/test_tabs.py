"""Several tabs of a session: all show the same, live and after any accident, and each can do what the others can."""

from __future__ import annotations

import asyncio

from playwright.async_api import expect

from tests.browser.chat_page import ChatPage, assert_equal_to_database
from tests.parts.browser import NewPage, PageErrors
from tests.parts.model_server import Attempts, Gate, ModelServer, Refusal, Text, ToolCall, Turn
from tests.parts.site_process import NewSite, Site, User


async def test_two_tabs_show_the_same_live(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """A tab beside the one that asked, and one in another browser, show each piece while the model waits."""
    script = model_server.script(
        [Text(["Let me "]), Gate("a"), Text(["see."]), Gate("b"), ToolCall("calculator", {"expression": "6*7"})],
        [Text(["It is "]), Gate("c"), Text(["42."]), Gate("d")],
    )
    first = await ChatPage(await new_page(user)).open()
    beside = await first.another_tab()
    elsewhere = await ChatPage(await new_page(user), session_id=first.session_id).open()
    tabs = (first, beside, elsewhere)
    await first.ask(f"script:{script}")
    for gate, text in (("a", "Let me"), ("b", "Let me see."), ("c", "It is"), ("d", "It is 42.")):
        await model_server.at(gate)
        for tab in tabs:
            await expect(tab.draft("final_answer")).to_have_text(text)
            assert not await tab.outbox.count()
        model_server.open(gate)
    for tab in tabs:
        await tab.until_state("completed")
    await assert_equal_to_database(site, *tabs)


async def test_stop_from_the_other_tab(new_page: NewPage, user: User, site: Site, model_server: ModelServer) -> None:
    """Stop in one tab ends the run that the other asked for; what was said so far stays, marked as such."""
    script = model_server.script([Text(["Once upon a time "]), Gate("never")])
    asked = await ChatPage(await new_page(user)).open()
    other = await ChatPage(await new_page(user), session_id=asked.session_id).open()
    await expect(other.stop).to_be_hidden()
    await asked.ask(f"script:{script}")
    await expect(other.draft("final_answer")).to_have_text("Once upon a time")
    await other.stop.click()
    for tab in (asked, other):
        await tab.until_state("stopped")
        await expect(tab.steps("final_answer")).to_contain_text("Once upon a time")
        await expect(tab.steps("final_answer")).to_contain_text("stopped here")
        await expect(tab.stop).to_be_hidden()
        await expect(tab.drafts).to_have_count(0)
    await model_server.until(lambda requests: requests[-1].end == "disconnected")
    await assert_equal_to_database(site, asked, other)


async def test_a_queued_message_is_seen_and_removed_in_both(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """What is asked while a run is active waits in every tab; any tab can take it back, and the rest runs in order."""
    script = model_server.script([Text("Working "), Gate("first")])
    next_script = model_server.script([Text("Next.")])
    one = await ChatPage(await new_page(user)).open()
    two = await ChatPage(await new_page(user), session_id=one.session_id).open()
    await one.ask(f"script:{script}")
    await model_server.at("first")
    await one.ask("a mistake")
    await two.ask(f"script:{next_script}")
    for tab in (one, two):
        await tab.until_state("queued", run=2)
        await tab.until_state("queued", run=3)
        await expect(tab.run(2).get_by_role("button", name="Remove")).to_be_visible()
    await two.run(2).get_by_role("button", name="Remove").click()
    for tab in (one, two):
        await tab.until_state("removed", run=2)
        await expect(tab.run(2).get_by_role("button", name="Remove")).to_be_hidden()
    model_server.open("first")
    for tab in (one, two):
        await tab.until_state("completed", run=1)
        await tab.until_state("completed", run=3)
    assert [run["started_at"] is None for run in site.runs(one.session_id)] == [False, True, False]
    await assert_equal_to_database(site, one, two)


async def test_a_failed_run_offers_to_try_again(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """A run that the model refused shows why, and one click in any tab asks the same again."""
    script = model_server.script(Attempts([[Refusal(400, "no such luck")], [Text("Now it works.")]]))
    one = await ChatPage(await new_page(user)).open()
    await one.page.get_by_label("Agent", exact=True).select_option("writer")
    two = await ChatPage(await new_page(user), session_id=one.session_id).open()
    await one.ask(f"script:{script}")
    for tab in (one, two):
        await tab.until_state("failed")
        await expect(tab.steps("error")).to_be_visible()
        await expect(tab.steps("error")).to_have_css("background-color", "rgb(255, 235, 238)")
        await expect(tab.run(1).get_by_role("button", name="Try again")).to_be_visible()
    await two.run(1).get_by_role("button", name="Try again").click()
    for tab in (one, two):
        await tab.until_state("completed", run=2)
        await expect(tab.run(2)).to_contain_text("Now it works.")
    assert [(run["message"], run["agent"]) for run in site.runs(one.session_id)] == [(f"script:{script}", "writer")] * 2
    await assert_equal_to_database(site, one, two)


async def test_tabs_outlive_a_killed_server(
    new_page: NewPage, new_site: NewSite, model_server: ModelServer, page_errors: PageErrors
) -> None:
    """`kill -9` in mid-answer, as often as a run may be lost: the tabs come back by themselves and show the error that is
    recorded; trying again works.
    """
    page_errors.allow_lost_connections()
    site = new_site(ATTEMPTS="1")
    user = site.new_user()
    turn: Turn = [Text(["Half of the "]), Gate("half"), Text(["answer."])]
    script = model_server.script([ToolCall("calculator", {"expression": "6*7"})], Attempts([turn, turn]))
    one = await ChatPage(await new_page(user, at=site)).open()
    two = await ChatPage(await new_page(user, at=site), session_id=one.session_id).open()
    await one.ask(f"script:{script}")
    for tab in (one, two):
        await expect(tab.draft("final_answer")).to_have_text("Half of the")
    site.servers[0].kill()
    for tab in (one, two):
        await expect(tab.connection).to_contain_text("retrying", ignore_case=True)
        # What was being written is still there to be read.
        await expect(tab.draft("final_answer")).to_have_text("Half of the")
    await asyncio.to_thread(site.servers[0].start)
    for tab in (one, two):
        await expect(tab.connection).to_have_text("Connected", timeout=20_000)
        await tab.until_state("failed")
        await expect(tab.steps("error")).to_contain_text("try again")
        await expect(tab.steps("tool_result")).to_contain_text("42")
        await expect(tab.drafts).to_have_count(0)
    await assert_equal_to_database(site, one, two)
    await two.run(1).get_by_role("button", name="Try again").click()
    model_server.open("half", 2)
    for tab in (one, two):
        await tab.until_state("completed", run=2)
        await expect(tab.run(2)).to_contain_text("Half of the answer.")
    await assert_equal_to_database(site, one, two)
