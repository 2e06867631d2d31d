"""Offline and back: the state shown is the true one, and what was typed meanwhile goes out exactly once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.chat_page import ChatPage, assert_equal_to_database, until
from tests.browser.network import Network
from tests.parts.browser import NewPage, PageErrors
from tests.parts.model_server import Gate, ModelServer, Text
from tests.parts.site_process import NewSite, Site, User

RETRYING = re.compile(r"retrying in \d+ s", re.IGNORECASE)
# The back-off draws its wait at random, up to twice the time before; here it always draws the longest.
LONGEST_WAITS = "Math.random = () => 0.999999"


@pytest_asyncio.fixture(loop_scope="session")
async def network(site: Site) -> AsyncIterator[Network]:
    async with Network(site) as network:
        yield network


@pytest_asyncio.fixture(loop_scope="session")
async def chat(page: Page, network: Network, page_errors: PageErrors) -> ChatPage:
    """A page that reaches the site over a network that can be cut."""
    page_errors.allow_lost_connections()
    return await ChatPage(page, origin=network.origin).open()


def said(site: Site, chat: ChatPage) -> list[str]:
    """The messages that the database has, in their order."""
    return [run["message"] for run in site.runs(chat.session_id)]


async def seconds_left(chat: ChatPage) -> int:
    found = re.search(r"\d+", await chat.connection.inner_text())
    assert found
    return int(found[0])


async def test_the_state_is_always_true(chat: ChatPage, network: Network) -> None:
    """Connected, retrying with the seconds left, connected again by itself, offline by the user's wish alone."""
    page = chat.page
    button = page.locator("#connect")
    retry_now = page.get_by_role("button", name="Retry now")
    await expect(chat.connection).to_have_text("Connected")
    await expect(button).to_have_text("Disconnect")
    await expect(retry_now).to_be_hidden()
    network.cut()
    await expect(chat.connection).to_have_text(RETRYING)
    await expect(retry_now).to_be_visible()
    await expect(button).to_have_text("Disconnect")
    network.mend()
    await expect(chat.connection).to_have_text("Connected", timeout=20_000)
    await button.click()
    await expect(chat.connection).to_have_text("Offline")
    await expect(button).to_have_text("Connect")
    await expect(retry_now).to_be_hidden()
    # Neither the browser's word that it is online nor time connects what the user has disconnected.
    before = network.sockets
    await page.evaluate("window.dispatchEvent(new Event('online'))")
    await expect(chat.connection).to_have_text("Offline")
    assert network.sockets == before
    await button.click()
    await expect(chat.connection).to_have_text("Connected")


async def test_retry_now_does_not_wait(
    new_page: NewPage, user: User, network: Network, page_errors: PageErrors
) -> None:
    """Each failed try waits longer; the count-down runs, and Retry now cuts it short."""
    page_errors.allow_lost_connections()
    page = await new_page(user)
    await page.add_init_script(LONGEST_WAITS)
    chat = await ChatPage(page, origin=network.origin).open()
    retry_now = page.get_by_role("button", name="Retry now")
    network.cut()
    waits = []
    for tries in range(1, 6):
        await page.wait_for_function(
            "(tries) => glassbox.socket.status.state === 'retrying' && glassbox.socket.status.tries === tries",
            arg=tries,
        )
        waits.append(await seconds_left(chat))
        if tries < 5:
            await retry_now.click()
    assert waits == sorted(waits)
    assert waits[-1] > 10
    await expect(chat.connection).to_have_text(f"Retrying in {waits[-1] - 1} s", ignore_case=True)
    network.mend()
    await retry_now.click()
    await expect(chat.connection).to_have_text("Connected", timeout=3_000)


async def test_the_browser_comes_online(
    new_page: NewPage, user: User, site: Site, network: Network, page_errors: PageErrors
) -> None:
    """While the machine has no network the page says so and keeps what is typed; with the network it connects at once."""
    page_errors.allow_lost_connections()
    page = await new_page(user)
    await page.add_init_script(LONGEST_WAITS)
    chat = await ChatPage(page, origin=network.origin).open()
    # The network is cut, and the browser's word for it spoken by us: Chromium says that it is online before its emulated network
    # carries, and now and then makes the next handshake without cookies.
    network.cut()
    await page.evaluate("() => dispatchEvent(new Event('offline'))")
    await expect(chat.connection).to_have_text(RETRYING, timeout=20_000)
    await chat.ask("typed without a network")
    await expect(chat.outbox).to_contain_text("Waiting to be sent")
    await page.wait_for_function("() => glassbox.socket.status.tries >= 3")
    network.mend()
    await expect(chat.connection).to_have_text(RETRYING)
    assert said(site, chat) == []
    await page.evaluate("() => dispatchEvent(new Event('online'))")
    await expect(chat.connection).to_have_text("Connected", timeout=3_000)
    await chat.until_state("completed")
    await expect(chat.outbox).to_have_count(0)
    assert said(site, chat) == ["typed without a network"]


async def test_what_is_typed_offline_survives_a_reload_and_goes_out_once(
    chat: ChatPage, network: Network, site: Site, model_server: ModelServer
) -> None:
    """Messages wait in view, in their order, over a reload, can be discarded, and are each recorded once."""
    network.cut(sockets_only=True)
    await expect(chat.connection).to_have_text(RETRYING)
    typed = [f"message {number}" for number in range(1, 5)]
    for text in typed:
        await chat.ask(text)
    await expect(chat.outbox).to_have_count(4)
    await chat.page.reload()
    await expect(chat.outbox.locator(".bubble")).to_have_text(typed)
    for number in range(4):
        await expect(chat.outbox.nth(number)).to_contain_text("Waiting to be sent")
    await expect(chat.runs).to_have_count(0)
    await chat.outbox.nth(1).get_by_role("button", name="Discard").click()
    await expect(chat.outbox).to_have_count(3)
    del typed[1]
    # A tab that was opened while offline has them too, and does not send them a second time.
    beside = ChatPage(await chat.page.context.new_page(), session_id=chat.session_id, origin=network.origin)
    await beside.page.goto(f"{network.origin}/s/{chat.session_id}/")
    await expect(beside.outbox.locator(".bubble")).to_have_text(typed)
    network.mend()
    for tab in (chat, beside):
        await tab.until_current()
        for number in range(1, 4):
            await tab.until_state("completed", run=number)
        await expect(tab.outbox).to_have_count(0)
    assert said(site, chat) == typed
    await assert_equal_to_database(site, chat, beside)
    assert len(model_server.requests()) == 3


async def test_a_message_whose_receipt_was_lost_goes_out_once(chat: ChatPage, network: Network, site: Site) -> None:
    """The server has it and the page does not know: sent again after the reconnection, it is the same run."""
    await chat.ask("heard and answered")
    await chat.until_state("completed")
    network.deafen()
    await chat.ask("heard but not answered")
    await expect(chat.outbox).to_contain_text("Sent, not confirmed yet")
    await until(lambda: len(said(site, chat)) == 2)
    await expect(chat.runs).to_have_count(1)
    network.cut()
    await expect(chat.outbox).to_contain_text("Waiting to be sent")
    network.mend()
    await chat.until_current()
    await chat.until_state("completed", run=2)
    await expect(chat.outbox).to_have_count(0)
    assert said(site, chat) == ["heard and answered", "heard but not answered"]
    await assert_equal_to_database(site, chat)


async def test_a_run_goes_on_while_the_page_is_offline(
    chat: ChatPage, network: Network, site: Site, model_server: ModelServer
) -> None:
    """What an agent said while the page was away is there when it is back, the text in the making too."""
    script = model_server.script([Text(["One "]), Gate("a"), Text(["two "]), Gate("b"), Text(["three."])])
    await chat.ask(f"script:{script}")
    await expect(chat.draft("final_answer")).to_have_text("One")
    network.cut()
    await expect(chat.connection).to_have_text(RETRYING)
    model_server.open("a")
    await model_server.at("b")
    await expect(chat.draft("final_answer")).to_have_text("One")
    network.mend()
    await chat.until_current()
    await expect(chat.draft("final_answer")).to_have_text("One two")
    await chat.page.locator("#connect").click()
    await expect(chat.connection).to_have_text("Offline")
    model_server.open("b")
    await until(lambda: site.runs(chat.session_id)[0]["ended_at"] is not None)
    await chat.until_state("running")
    await chat.page.locator("#connect").click()
    await chat.until_state("completed")
    await assert_equal_to_database(site, chat)


async def test_stop_asked_for_while_offline(
    chat: ChatPage, network: Network, site: Site, model_server: ModelServer
) -> None:
    """The wish to stop waits as a message does, and is carried out when the page is back."""
    script = model_server.script([Text(["One "]), Gate("never")])
    await chat.ask(f"script:{script}")
    await expect(chat.draft("final_answer")).to_have_text("One")
    network.cut()
    await expect(chat.connection).to_have_text(RETRYING)
    await chat.stop.click()
    await expect(chat.stop).to_have_text("Stopping…")
    await chat.until_state("running")
    network.mend()
    await chat.until_current()
    await chat.until_state("stopped")
    await assert_equal_to_database(site, chat)


@pytest.mark.parametrize("end", ["resume", "kill"])
async def test_a_server_that_hangs(new_page: NewPage, new_site: NewSite, page_errors: PageErrors, end: str) -> None:
    """A server that does not answer is noticed within a heartbeat, is not believed connected, and costs no message."""
    page_errors.allow_lost_connections()
    site = new_site(HEARTBEAT_SECONDS="1")
    chat = await ChatPage(await new_page(site.new_user(), at=site)).open()
    [server] = site.servers
    server.pause()
    await chat.ask("into the void")
    await expect(chat.connection).not_to_have_text("Connected", timeout=5_000)
    await expect(chat.connection).to_have_text(re.compile("no reply|no answer|connecting", re.IGNORECASE))
    await expect(chat.outbox).to_have_count(1)
    if end == "kill":
        await asyncio.to_thread(server.restart)
    else:
        server.resume()
    await chat.until_current(timeout=40)
    await chat.until_state("completed")
    await expect(chat.outbox).to_have_count(0)
    assert said(site, chat) == ["into the void"]
    await assert_equal_to_database(site, chat)


async def test_signed_out_is_not_retried(chat: ChatPage) -> None:
    """When the server means "do not come back" the page says why and what to do, and does not try for ever."""
    page = await chat.page.context.new_page()
    await page.goto(f"{chat.origin}/s/{chat.session_id}/")
    await page.locator("#user-menu summary").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(chat.connection).to_have_text("Offline: the server refused")
    await expect(chat.page.get_by_role("link", name="Sign in again")).to_be_visible()
