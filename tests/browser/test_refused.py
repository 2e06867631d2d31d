"""What the server does not take yet, or does not begin: the page says what is the matter, and goes on by itself."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.browser.chat_page import ChatPage, assert_equal_to_database
from tests.parts.browser import NewPage, PageErrors
from tests.parts.site_process import DATABASE, NewSite, Site


@contextlib.contextmanager
def refusing(site: Site, what: str) -> Iterator[None]:
    """Meanwhile the site's database refuses this: `INSERT ON table`, or an `UPDATE` with its condition."""
    with contextlib.closing(sqlite3.connect(site.data_dir / DATABASE, timeout=10)) as database:
        database.execute(f"CREATE TRIGGER refusing BEFORE {what} BEGIN SELECT RAISE(ABORT, 'refused by the test'); END")
        database.commit()
        try:
            yield
        finally:
            database.execute("DROP TRIGGER refusing")
            database.commit()


async def test_not_saved(new_page: NewPage, new_site: NewSite, page_errors: PageErrors) -> None:
    """While the database takes nothing the message stays, says so and tries again; then it is there once."""
    page_errors.allow_lost_connections()  # the site ends before its page does
    site = new_site()
    chat = await ChatPage(await new_page(site.new_user(), at=site)).open()
    with refusing(site, "INSERT ON chat_run"):
        await chat.ask("keep me")
        await expect(chat.outbox).to_contain_text("Not saved yet, retrying")
        await expect(chat.outbox).not_to_contain_text("Send it again")
        # Sent again and refused again: it says the same all the while, and is told to a listener once.
        await chat.page.evaluate(
            "glassbox.socket.on('error', () => (globalThis.refusals = (globalThis.refusals ?? 0) + 1))"
        )
        await chat.page.wait_for_function("() => globalThis.refusals >= 2", timeout=30_000)
        await expect(chat.outbox).to_contain_text("Not saved yet, retrying")
        await expect(chat.page.locator("#announcer")).to_have_text(re.compile("^Not saved yet, retrying[^N]*$"))
        await expect(chat.runs).to_have_count(0)
    await chat.until_state("completed")
    await expect(chat.outbox).to_have_count(0)
    assert [run["message"] for run in site.runs(chat.session_id)] == ["keep me"]
    await assert_equal_to_database(site, chat)


async def test_a_limit_counts_down_and_can_be_given_up(
    new_page: NewPage, new_site: NewSite, page_errors: PageErrors
) -> None:
    """Past a limit the message waits for as long as the server says, over a reload too; the button keeps the focus meanwhile."""
    page_errors.allow_lost_connections()  # the site ends before its page does
    site = new_site(MESSAGES_PER_MINUTE="1")
    chat = await ChatPage(await new_page(site.new_user(), at=site)).open()
    await chat.ask("the first")
    await chat.until_state("completed")
    await chat.ask("one too many")
    counting = re.compile(r"Not taken yet: You may send 1 message a minute\. Sent again in (\d+) s")
    await expect(chat.outbox).to_contain_text(counting)
    discard = chat.outbox.get_by_role("button", name="Discard")
    await discard.focus()

    async def seconds() -> int:
        found = counting.search(" ".join((await chat.outbox.inner_text()).split()))
        assert found
        return int(found[1])

    before = await seconds()
    await expect(chat.outbox).to_contain_text(f"in {before - 2} s")
    await expect(discard).to_be_focused()
    await chat.reload()
    await expect(chat.outbox).to_contain_text(counting)
    assert await seconds() <= before - 2
    await discard.press("Enter")
    await expect(chat.outbox).to_have_count(0)
    assert [run["message"] for run in site.runs(chat.session_id)] == ["the first"]


@pytest.mark.long
async def test_waiting_for_a_worker(new_page: NewPage, new_site: NewSite, page_errors: PageErrors) -> None:
    """A message that could begin and does not for five seconds says what it waits for, until it begins."""
    page_errors.allow_lost_connections()  # the site ends before its page does
    site = new_site()
    chat = await ChatPage(await new_page(site.new_user(), at=site)).open()
    waiting = chat.run().get_by_text("Waiting for a worker")
    with refusing(site, "UPDATE OF state ON chat_run WHEN NEW.state = 'running'"):
        await chat.ask("is anybody there?")
        await chat.until_state("queued")
        await expect(waiting).to_be_hidden()
        await expect(waiting).to_be_visible(timeout=15_000)
        await chat.reload()
        await expect(waiting).to_be_hidden()
        await expect(waiting).to_be_visible(timeout=15_000)
    await chat.until_state("completed", timeout=30)
    await expect(waiting).to_be_hidden()
    await assert_equal_to_database(site, chat)
