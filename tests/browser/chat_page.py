"""A session's page as a reader has it, for the tests beside this file: what it shows, what it knows, what is recorded."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from playwright.async_api import Locator, Page, expect

from tests.parts.site_process import Site

# What stands on the page, run by run: the cards in their order, drafts apart.
_SHOWN = """() => {
  const cards = (run, slot) => [...run.querySelectorAll(`[data-slot="${slot}"] > .step`)].map((card) => ({
    type: card.dataset.type,
    seq: Number(card.dataset.seq ?? 0),
    iteration: card.querySelector("[data-slot=iteration]").textContent,
    tool: card.querySelector("[data-slot=tool]").textContent,
    text: card.querySelector("[data-slot=body]").textContent,
  }));
  return [...document.querySelectorAll("#runs > .run")].map((run) => ({
    run_id: run.dataset.run,
    state: run.dataset.state,
    message: run.querySelector("[data-slot=message]").textContent,
    steps: cards(run, "steps"),
    drafts: cards(run, "drafts"),
  }));
}"""

_CURRENT = """() => {
  const { state, socket } = globalThis.glassbox ?? {};
  return socket?.status.state === "connected" && state.epoch !== null && state.seq >= state.head;
}"""

Value = TypeVar("Value")


class ChatPage:
    """One tab. `origin` is another way to the site than the page's own."""

    def __init__(self, page: Page, *, session_id: str = "", origin: str = "") -> None:
        self.page = page
        self.session_id = session_id or f"b-{uuid.uuid4().hex[:16]}"
        self.origin = origin
        self.message = page.get_by_label("Your message")
        self.runs = page.locator("#runs > .run")
        self.drafts = page.locator("#runs .step[data-draft]")
        self.connection = page.locator("#connection-state")
        self.outbox = page.locator(".outbox-entry")
        self.stop = page.locator("#stop")

    async def open(self) -> Self:
        """Go there, and return when the page has all there is."""
        await self.page.goto(f"{self.origin}/s/{self.session_id}/")
        await self.until_current()
        return self

    async def reload(self) -> None:
        await self.page.reload()
        await self.until_current()

    async def until_current(self, *, timeout: float = 20) -> None:
        """Return when the page is connected and has what the server last spoke of."""
        await self.page.wait_for_function(_CURRENT, timeout=timeout * 1000)

    async def another_tab(self) -> ChatPage:
        """The same session in a second tab of the same browser."""
        return await ChatPage(await self.page.context.new_page(), session_id=self.session_id, origin=self.origin).open()

    async def ask(self, text: str) -> None:
        """Type a message and send it."""
        await self.message.fill(text)
        await self.message.press("Enter")

    def run(self, number: int = 1) -> Locator:
        """The run of that place in the session, from 1."""
        return self.runs.nth(number - 1)

    def steps(self, step_type: str = "") -> Locator:
        """The cards of recorded steps."""
        kind = f'[data-type="{step_type}"]' if step_type else ""
        return self.page.locator(f"#runs .step{kind}:not([data-draft])")

    def draft(self, step_type: str) -> Locator:
        """The text of a step in the making."""
        return self.page.locator(f'#runs .step[data-draft][data-type="{step_type}"] [data-slot="body"]')

    async def until_state(self, state: str, *, run: int = 1, timeout: float = 20) -> None:
        """Return when a run is shown in this state."""
        await expect(self.run(run)).to_have_attribute("data-state", state, timeout=timeout * 1000)

    async def shown_with_drafts(self) -> list[dict[str, Any]]:
        """What stands on the page, run by run, what is still being written under `drafts`."""
        return list(await self.page.evaluate(_SHOWN))

    async def shown(self) -> list[dict[str, Any]]:
        """What stands on the page, in the form of `shown_by`."""
        found = await self.shown_with_drafts()
        for run in found:
            for step in run["steps"]:
                step["text"] = _bare(step["text"])
        return found

    async def known(self) -> dict[str, Any]:
        """The page's transcript, as far as the database has the same facts: in the form of `recorded`."""
        transcript = await self.page.evaluate("() => glassbox.transcript()")
        kept = ("run_id", "client_id", "message", "agent", "enable_reasoning", "state")
        return {
            "seq": transcript["seq"],
            "runs": [
                {name: run[name] for name in kept} | {"steps": [_fact(step) for step in run["steps"]]}
                for run in transcript["runs"]
            ],
        }


async def until_equal(get: Callable[[], Awaitable[Value]], wanted: Value, *, timeout: float = 10) -> None:
    """Return when `get()` gives what is wanted; fails with both where it has not in time."""
    deadline = time.monotonic() + timeout
    while (found := await get()) != wanted and time.monotonic() < deadline:  # noqa: ASYNC110  # a page has no such event
        await asyncio.sleep(0.05)
    assert found == wanted


async def until(condition: Callable[[], bool], *, timeout: float = 20) -> None:
    """Return when the condition, which asks the database, holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the database did not become what was waited for"
        await asyncio.sleep(0.002)


async def assert_equal_to_database(site: Site, *tabs: ChatPage) -> None:
    """What each tab knows and shows, and what a tab shows that opens only now, is what the database holds."""
    session_id = tabs[0].session_id
    rows = site.events(session_id)
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    fresh = await tabs[0].another_tab()
    for tab in (*tabs, fresh):
        assert tab.session_id == session_id
        await tab.until_current()
        await until_equal(tab.known, recorded(site, session_id))
        await until_equal(tab.shown, shown_by(site, session_id))
    await fresh.page.close()


def recorded(site: Site, session_id: str) -> dict[str, Any]:
    """The session in the database: `seq` of its last event, and its runs with their steps."""
    runs = {run["id"]: run for run in site.runs(session_id)}
    steps: dict[str, list[dict[str, Any]]] = {run_id: [] for run_id in runs}
    last = 0
    for row in site.events(session_id):
        last = row["seq"]
        if row["type"] == "step":
            steps[row["run_id"]].append(_row_fact(row, quiet=not runs[row["run_id"]]["enable_reasoning"]))
    return {
        "seq": last,
        "runs": [
            {
                "run_id": run_id,
                "client_id": run["client_id"],
                "message": run["message"],
                "agent": run["agent"],
                "enable_reasoning": bool(run["enable_reasoning"]),
                "state": _state(run),
                "steps": steps[run_id],
            }
            for run_id, run in runs.items()
        ],
    }


def shown_by(site: Site, session_id: str) -> list[dict[str, Any]]:
    """What a page must show of the session in the database once every run has ended: no draft outlives its run.

    Texts of steps are without white space, which Markdown changes.
    """
    rows = [row for row in site.events(session_id) if row["type"] == "step"]
    return [
        {
            "run_id": run["id"],
            "state": _state(run),
            "message": run["message"],
            "steps": [
                {
                    "type": row["step_type"],
                    "seq": row["seq"],
                    "iteration": f"iteration {row['iteration']}" if row["iteration"] else "",
                    "tool": row["tool_name"],
                    "text": _bare(_text(row)),
                }
                for row in rows
                if row["run_id"] == run["id"] and (run["enable_reasoning"] or row["step_type"] == "final_answer")
            ],
            "drafts": [],
        }
        for run in site.runs(session_id)
    ]


def _state(run: dict[str, Any]) -> str:
    return "removed" if run["state"] == "stopped" and run["started_at"] is None else str(run["state"])


def _text(row: dict[str, Any]) -> str:
    if row["step_type"] == "tool_use" and row["data"].get("arguments"):
        return json.dumps(row["data"]["arguments"], ensure_ascii=False)
    return str(row["content"]) or ("Nothing was returned." if row["step_type"] == "tool_result" else "")


def _bare(text: str) -> str:
    return "".join(text.split())


def _row_fact(row: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    fact = {"seq": row["seq"], "type": row["step_type"], "step": row["step"], "iteration": row["iteration"]}
    if quiet and row["step_type"] != "final_answer":
        return fact
    when = datetime.fromisoformat(row["created_at"]).replace(tzinfo=UTC)
    return fact | {
        "content": row["content"],
        "tool_name": row["tool_name"],
        "call_id": row["call_id"],
        "attempt": row["attempt"],
        "timestamp": when.timestamp(),
        **row["data"],
    }


def _fact(step: dict[str, Any]) -> dict[str, Any]:
    kept = ("seq", "type", "step", "iteration")
    fact = {name: step[name] for name in kept}
    if step["kind"] == "quiet_step":
        return fact
    rest = {name: value for name, value in step.items() if name not in (*kept, "kind", "duration", "usage")}
    return fact | {"tool_name": "", "call_id": ""} | rest
