"""The admin's page of a transcript as somebody of the staff has it, for the tests beside this file."""

from __future__ import annotations

from typing import Self

from playwright.async_api import Locator, Page, expect

from tests.browser.chat_page import ChatPage
from tests.parts.site_process import Site

_CURRENT = """() => {
  const { state, socket, facts } = globalThis.glassbox ?? {};
  return socket?.status.state === "connected" && state.epoch !== null && state.seq >= state.head && facts.isCurrent
    && document.getElementById("catching-up").hidden;
}"""


class TranscriptPage:
    """One tab of the staff's; `shown` and `known` are those of a reader's tab."""

    def __init__(self, page: Page, site: Site, session_id: str) -> None:
        self.page = page
        self.site = site
        # What a reader's page has is asked of this one in the same way.
        self.reader = ChatPage(page, session_id=session_id, origin=site.origin)
        self.failed = page.locator("[data-jump=failed]")
        self.slowest = page.locator("[data-jump=slowest]")
        self.dearest = page.locator("[data-jump=dearest]")
        self.target = page.locator("#runs .is-target")
        self.bars = page.locator("#timeline-runs .bar-link")

    async def open(self, place: str = "") -> Self:
        """Go there, and return when the page has all there is."""
        await self.page.goto(f"{address_of(self.site, self.reader.session_id)}{place}")
        await self.until_current()
        return self

    async def until_current(self) -> None:
        await self.page.wait_for_function(_CURRENT, timeout=20_000)

    def step(self, seq: int) -> Locator:
        return self.page.locator(f'#runs .step[data-seq="{seq}"]')

    async def expect_at(self, seq: int) -> None:
        """The step is marked, in sight and has the focus."""
        await expect(self.target).to_have_count(1)
        await expect(self.target).to_have_attribute("data-seq", str(seq))
        await expect(self.target).to_be_focused()
        await expect(self.target).to_be_in_viewport(ratio=0.5)

    async def panel(self, name: str, *, run: int = 1) -> Locator:
        """Open a panel beside a run; returns its texts."""
        details = self.reader.run(run).locator(f'[data-panel="{name}"]')
        await details.locator("summary").click()
        await expect(details.locator("[data-slot=state]")).not_to_have_text("Loading…")
        return details.locator(".panel-item")


def address_of(site: Site, session_id: str) -> str:
    """Where the staff reads a session."""
    (row,) = site.query("SELECT id FROM chat_chatsession WHERE public_id = ?", session_id)
    return f"{site.origin}/admin/chat/chatsession/{row['id']}/transcript/"
