"""Reloading: at any moment of a streaming answer the page shows the text so far, and in the end the same as the database."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.chat_page import ChatPage, assert_equal_to_database, until, until_equal
from tests.parts.browser import NewPage
from tests.parts.model_server import Gate, ModelServer, Pace, Reasoning, Text, ToolCall, Usage
from tests.parts.site_process import DATABASE, NewSite, Site

THOUGHT, ANSWER = "thought", "final_answer"

# Each gate of the script, and what stands on the page while it is closed: recorded steps, and texts in the making.
USES = [THOUGHT, THOUGHT, "tool_use", "tool_use"]
SEEN = {
    "before-anything": ([], []),
    "mid-thought": ([], [(THOUGHT, "I should")]),
    "after-thought": ([], [(THOUGHT, "I should calculate.")]),
    "mid-text": ([], [(THOUGHT, "I should calculate."), (ANSWER, "Let me")]),
    "before-call": ([], [(THOUGHT, "I should calculate."), (ANSWER, "Let me see: 🧮")]),
    "mid-call": ([], [(THOUGHT, "I should calculate."), (ANSWER, "Let me see: 🧮")]),
    "after-results": ([*USES, "tool_result", "tool_result"], []),
    "mid-answer": ([*USES, "tool_result", "tool_result"], [(ANSWER, "The answers")]),
    "late-answer": ([*USES, "tool_result", "tool_result"], [(ANSWER, "The answers are 42 and 2 👍🏽,")]),
    "before-the-end": ([*USES, "tool_result", "tool_result"], [(ANSWER, "The answers are 42 and 2 👍🏽, I think.")]),
}


def slow_script(model_server: ModelServer) -> str:
    """A gate at each of the moments in `SEEN`."""
    return model_server.script(
        [
            Gate("before-anything"),
            Reasoning(["I should"]),
            Gate("mid-thought"),
            Reasoning([" calculate."]),
            Gate("after-thought"),
            Text(["Let me"]),
            Gate("mid-text"),
            Text([" see: 🧮"]),
            Gate("before-call"),
            ToolCall("calculator", {"expression": "6*7"}),
            Gate("mid-call"),
            ToolCall("calculator", {"expression": "1+1"}),
        ],
        [
            Gate("after-results"),
            Text(["The answers"]),
            Gate("mid-answer"),
            Text([" are 42 and 2", " 👍🏽,"]),
            Gate("late-answer"),
            Text([" I think."]),
            Gate("before-the-end"),
            Usage(10, 5),
        ],
    )


async def test_a_reload_at_any_moment_shows_the_text_so_far(page: Page, site: Site, model_server: ModelServer) -> None:
    """At ten moments of a run the page that is loaded anew has all that was said, while the model still waits."""
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{slow_script(model_server)}")
    for gate, (steps, drafts) in SEEN.items():
        await model_server.at(gate)
        await chat.reload()

        async def seen() -> list[tuple[list[str], list[tuple[str, str]]]]:
            return [
                (
                    sorted(step["type"] for step in run["steps"]),
                    [(draft["type"], draft["text"].strip()) for draft in run["drafts"]],
                )
                for run in await chat.shown_with_drafts()
            ]

        await until_equal(seen, [(sorted(steps), drafts)])
        await chat.until_state("running")
        model_server.open(gate)
    await chat.until_state("completed")
    await assert_equal_to_database(site, chat)
    assert site.runs(chat.session_id)[0]["attempt"] == 1


async def test_a_reload_between_tool_use_and_result(
    new_page: NewPage, new_site: NewSite, model_server: ModelServer
) -> None:
    """While tools are at work, their uses stand on the page that is loaded anew, and the results follow."""
    site = new_site(SOCKETS_PER_USER="0")
    page = await new_page(site.new_user(), at=site)
    calls = [ToolCall("calculator", {"expression": f"{number}+1"}) for number in range(30)]
    script = model_server.script(calls, [Text("Done.")])
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{script}")
    async with nobody_writes_after(site, chat.session_id, "tool_use"):
        uses, results = (counted(site, chat.session_id, step_type) for step_type in ("tool_use", "tool_result"))
        assert uses > results
        await chat.reload()
        await expect(chat.steps("tool_use")).to_have_count(uses)
        await expect(chat.steps("tool_result")).to_have_count(results)
        await chat.until_state("running")
    await chat.until_state("completed")
    await expect(chat.steps("tool_result")).to_have_count(30)
    await assert_equal_to_database(site, chat)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_reloads_at_random_moments(page: Page, site: Site, model_server: ModelServer, seed: int) -> None:
    """However often and whenever a page is loaded anew, also before it has finished loading, nothing is lost or doubled."""
    chance = random.Random(seed)
    words = " ".join(f"word{number}" for number in range(90))
    script = model_server.script(
        [Pace(0.01), Reasoning("Thinking of what to calculate."), ToolCall("calculator", {"expression": "6*7"})],
        [Pace(0.02), Text(words), Usage(10, 90)],
    )
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{script}")
    await expect(chat.runs).to_have_count(1)
    reloads = 0
    while not site.runs(chat.session_id)[0]["ended_at"]:
        await page.reload(wait_until=chance.choice(["commit", "domcontentloaded", "load"]))
        reloads += 1
        more = chance.randrange(0, 60)
        await page.wait_for_function(
            """(more) => {
              const run = globalThis.glassbox?.state.runs[0];
              if (!run) return more < 10;
              const length = run.drafts.reduce((sum, draft) => sum + draft.content.length, 0);
              globalThis.lengthAtFirst ??= length;
              return run.end !== null || length >= lengthAtFirst + more || length < lengthAtFirst;
            }""",
            arg=more,
        )
    assert reloads > 2
    await chat.until_current()
    await chat.until_state("completed")
    await assert_equal_to_database(site, chat)


def counted(site: Site, session_id: str, step_type: str) -> int:
    """How many steps of the type are recorded."""
    return sum(row["step_type"] == step_type for row in site.events(session_id))


@asynccontextmanager
async def nobody_writes_after(site: Site, session_id: str, step_type: str) -> AsyncIterator[None]:
    """From just after the first step of the type was recorded nothing more is, until the block is left."""
    await until(lambda: counted(site, session_id, step_type) > 0)
    connection = await asyncio.to_thread(_lock, site.data_dir / DATABASE)
    try:
        yield
    finally:
        connection.rollback()
        connection.close()


def _lock(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    return connection
