"""The admin's page of a transcript: what the user saw, live, and the ways to the step that one looks for."""

from __future__ import annotations

import json
import re

import pytest
from playwright.async_api import expect

from tests.browser.chat_page import ChatPage, recorded, shown_by, until_equal
from tests.browser.transcript_page import TranscriptPage, address_of
from tests.parts.browser import NewPage
from tests.parts.model_server import Gate, ModelServer, Piece, Reasoning, Text, ToolCall, Usage
from tests.parts.site_process import Site, User


@pytest.fixture
def admin(site: Site) -> User:
    return site.new_user(admin=True)


async def ask(new_page: NewPage, user: User, model_server: ModelServer, *turns: list[Piece]) -> ChatPage:
    """A session of the user's in which one run has gone as scripted."""
    chat = await ChatPage(await new_page(user)).open()
    await chat.ask(f"script:{model_server.script(*turns)}")
    await chat.until_state("completed")
    return chat


FAILING: list[list[Piece]] = [
    [Reasoning("Let me see."), ToolCall("calculator", {"expression": "6*7"}), Usage(10, 5)],
    [Text("And this."), ToolCall("calculator", {"expression": "1/0"}), Usage(200, 90)],
    [Text("It is **42**."), Usage(30, 6)],
]


async def test_the_admin_shows_what_the_user_saw(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """The same steps in the same words and colours, and what the database has."""
    chat = await ask(new_page, user, model_server, *FAILING)
    read = await TranscriptPage(await new_page(admin), site, chat.session_id).open()
    assert await read.reader.shown() == await chat.shown()
    assert await read.reader.known() == recorded(site, chat.session_id)
    for step_type in ("thought", "tool_use", "tool_result", "final_answer"):
        style = "(card) => [getComputedStyle(card).backgroundColor, getComputedStyle(card).color]"
        theirs = await chat.steps(step_type).first.evaluate(style)
        assert await read.reader.steps(step_type).first.evaluate(style) == theirs
    facts = read.page.locator("#facts")
    await expect(facts.locator("[data-fact=user]")).to_have_text(user.name)
    await expect(facts.locator("[data-fact=tokens]")).to_have_text("240 read, 101 written")
    await expect(facts.locator("[data-fact=private]")).to_have_text("no")
    # Nothing here takes part in the session.
    await expect(read.page.get_by_role("textbox")).to_have_count(0)
    for name in ("Remove", "Try again", "It was done, go on", "Send"):
        await expect(read.page.get_by_role("button", name=name)).to_have_count(0)


async def test_the_admins_own_theme_has_the_last_word(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """Steps are dark where the reader chose the admin's dark theme on a light system, and the other way around."""
    chat = await ask(new_page, user, model_server, [Text("Yes.")])
    colours = {}
    for system, theme in (("light", "auto"), ("light", "dark"), ("dark", "auto"), ("dark", "light")):
        page = await new_page(admin, color_scheme=system)
        await page.add_init_script(f"localStorage.setItem('theme', {theme!r})")
        read = await TranscriptPage(page, site, chat.session_id).open()
        card = read.reader.steps("final_answer")
        colours[system, theme] = await card.evaluate("(card) => getComputedStyle(card).backgroundColor")
    assert colours["light", "auto"] == colours["dark", "light"] == "rgb(232, 245, 233)"
    assert colours["dark", "auto"] == colours["light", "dark"] == "rgb(21, 48, 26)"


async def test_a_running_session_goes_on(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """Its staff sees the tokens come, each step, the end, and the next question, without loading anything anew."""
    chat = await ChatPage(await new_page(user)).open()
    script = model_server.script(
        [Text("Half "), Gate("on"), Text("and half."), ToolCall("calculator", {"expression": "2*3"})], [Text("Six.")]
    )
    await chat.ask(f"script:{script}")
    await expect(chat.draft("final_answer")).to_contain_text("Half")
    read = await TranscriptPage(await new_page(admin), site, chat.session_id).open()
    await expect(read.reader.draft("final_answer")).to_contain_text("Half")
    await expect(read.page.locator("[data-fact=state]")).to_have_text("1 run, 1 running")
    model_server.open("on")
    await read.reader.until_state("completed")
    await expect(read.page.locator("[data-fact=state]")).to_have_text("1 run")
    await expect(read.bars).to_have_count(len(shown_by(site, chat.session_id)[0]["steps"]))
    await chat.ask(f"script:{model_server.script([Text('More.')])}")
    await read.reader.until_state("completed", run=2)
    await until_equal(read.reader.shown, shown_by(site, chat.session_id))
    await until_equal(read.reader.known, recorded(site, chat.session_id))


async def test_what_the_user_thinks_of_an_answer_comes_at_once(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """A thumb and a comment stand beside the run, and are counted in the header."""
    chat = await ask(new_page, user, model_server, [Text("Yes.")])
    read = await TranscriptPage(await new_page(admin), site, chat.session_id).open()
    await chat.run().get_by_role("button", name="Good answer").click()
    await expect(read.reader.run().locator(".beside-facts")).to_contain_text("thumb up")
    await expect(read.page.locator("[data-fact=feedback]")).to_have_text("1 up, 0 down")


async def test_jumps_to_the_failed_the_slowest_and_the_dearest_step(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """By button and keyboard; the address names the step from then on."""
    chat = await ask(new_page, user, model_server, *FAILING)
    rows = [row for row in site.events(chat.session_id) if row["type"] == "step"]
    failed = [row["seq"] for row in rows if row["data"].get("is_error")]
    assert len(failed) == 1
    slowest = max(rows, key=lambda row: row["duration"] or 0)["seq"]
    dearest = max(rows, key=lambda row: (row["input_tokens"] or 0) + (row["output_tokens"] or 0))["seq"]
    read = await TranscriptPage(await new_page(admin), site, chat.session_id).open()
    await expect(read.failed).to_have_text("Failed (1)")
    for button, seq in ((read.failed, failed[0]), (read.slowest, slowest), (read.dearest, dearest)):
        await button.focus()
        await read.page.keyboard.press("Enter")
        await read.expect_at(seq)
        assert read.page.url.endswith(f"#step-{seq}")
    await read.page.go_back()
    # The same step twice is one place.
    await read.expect_at(slowest if slowest != dearest else failed[0])


async def test_a_link_to_a_step_of_a_long_session(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """From outside, where the history comes in several pages: the step is loaded, scrolled to, marked and focused."""
    chat = await ChatPage(await new_page(user)).open()
    long = "\n\n".join(f"Paragraph {number}. " + "Words. " * 60 for number in range(400))
    for number in range(1, 7):
        await chat.ask(f"script:{model_server.script([Text([long])])}")
        await chat.until_state("completed", run=number)
    seqs = [row["seq"] for row in site.events(chat.session_id) if row["type"] == "step"]
    assert sum(len(row["content"]) for row in site.events(chat.session_id)) > 2 * 256 * 1024
    first = await TranscriptPage(await new_page(admin), site, chat.session_id).open(f"#step-{seqs[1]}")
    await expect(first.target).to_have_attribute("data-seq", str(seqs[1]))
    await expect(first.target).to_be_focused()
    await expect(first.target).to_be_in_viewport()
    missing = await TranscriptPage(await new_page(admin), site, chat.session_id).open("#step-999")
    await expect(missing.page.locator("#said")).to_have_text("There is no step 999 in this session.")
    # What is no step, as a message, leads to its run.
    message = site.events(chat.session_id)[0]
    other = await TranscriptPage(await new_page(admin), site, chat.session_id).open(f"#step-{message['seq']}")
    await expect(other.target).to_have_attribute("data-run", message["run_id"])
    await expect(other.target).to_be_focused()
    # Each step has its own link.
    await expect(missing.step(seqs[0]).locator(".step-link")).to_have_attribute("href", f"#step-{seqs[0]}")


async def test_the_timeline_by_mouse_by_keyboard_and_as_a_table(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """Each step has a bar that says what it is; arrows lead from bar to bar, Enter to the step; the table has the same."""
    chat = await ask(new_page, user, model_server, *FAILING)
    rows = [row for row in site.events(chat.session_id) if row["type"] == "step"]
    read = await TranscriptPage(await new_page(admin), site, chat.session_id).open()
    labels = [await bar.get_attribute("aria-label") or "" for bar in await read.bars.all()]
    assert [int(re.findall(r"\d+", label)[0]) for label in labels] == [row["seq"] for row in rows]
    assert [label for label in labels if label.endswith("failed")] == [
        label for label, row in zip(labels, rows, strict=True) if row["data"].get("is_error")
    ]
    await read.bars.nth(1).click()
    await read.expect_at(rows[1]["seq"])
    await read.bars.first.focus()
    await read.page.keyboard.press("ArrowRight")
    await read.page.keyboard.press("End")
    await expect(read.bars.last).to_be_focused()
    await read.page.keyboard.press("Enter")
    await read.expect_at(rows[-1]["seq"])
    assert await read.page.locator("#timeline-runs [tabindex='0']").count() == 1
    await read.page.get_by_text("As a table").click()
    table = read.page.locator("#timeline-table tbody tr:has(td)")
    await expect(table).to_have_count(len(rows))
    for row, cells in zip(rows, await table.all(), strict=True):
        texts = await cells.locator("td").all_inner_texts()
        assert texts[1] == row["tool_name"]
        assert texts[6] == ("failed" if row["data"].get("is_error") else "")


async def test_frames_and_messages_stand_beside(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """Loaded when they are opened: the frames as they came to the user, and what the model was given."""
    page = await new_page(user)
    came: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda payload: came.append(str(payload))))
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{model_server.script(*FAILING)}")
    await chat.until_state("completed")
    asked: list[str] = []
    reading = await new_page(admin)
    reading.on("request", lambda request: asked.append(request.url))
    read = await TranscriptPage(reading, site, chat.session_id).open()
    assert [url for url in asked if "/frames/" in url or "/messages/" in url] == []
    texts = await (await read.panel("frames")).locator("pre").all_text_contents()
    assert texts == [text for text in came if '"seq"' in text]
    said = await read.panel("messages")
    assert (await said.locator("strong").all_text_contents())[:2] == ["system", "user"]
    messages = await said.locator("pre").all_text_contents()
    assert json.loads(json.dumps(messages))[1].startswith("script:")
    assert any("1/0" in text for text in messages)
    assert messages[-1] == "It is **42**."


async def test_steps_that_the_user_did_not_see(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """A run without reasoning shows its answer alone; a button, or a link to such a step, shows the others, marked."""
    chat = await ChatPage(await new_page(user)).open()
    await chat.page.locator("#reasoning").uncheck()
    await chat.ask(f"script:{model_server.script(*FAILING)}")
    await chat.until_state("completed")
    rows = [row for row in site.events(chat.session_id) if row["type"] == "step"]
    read = await TranscriptPage(await new_page(admin), site, chat.session_id).open()
    await expect(read.reader.steps()).to_have_count(1)
    await read.page.get_by_role("button", name="Show what its user did not see").click()
    await expect(read.reader.steps()).to_have_count(len(rows))
    seqs = await read.page.locator("#runs .step").evaluate_all(
        "(cards) => cards.map((card) => Number(card.dataset.seq))"
    )
    assert seqs == [row["seq"] for row in rows]
    await expect(read.step(rows[0]["seq"])).to_contain_text("not shown to the user")
    linked = await TranscriptPage(await new_page(admin), site, chat.session_id).open(f"#step-{rows[1]['seq']}")
    await linked.expect_at(rows[1]["seq"])


async def test_who_may_not_read_any_more_is_told_so(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """An account that loses the admin while it watches gets no further frame."""
    chat = await ask(new_page, user, model_server, [Text("Yes.")])
    read = await TranscriptPage(await new_page(admin), site, chat.session_id).open()
    code = f"from django.contrib.auth.models import User; user = User.objects.get(username={admin.name!r})"
    site.manage("shell", "-c", f"{code}; user.is_staff = user.is_superuser = False; user.save()")
    await read.page.locator("#connect").click()
    await read.page.locator("#connect").click()
    await expect(read.page.locator("#notices")).to_contain_text("You may not read this session")


async def test_two_runs_side_by_side(
    new_page: NewPage, user: User, admin: User, site: Site, model_server: ModelServer
) -> None:
    """Chosen in the list of runs: steps in their order, cards in their colours, and what differs is said in words."""
    chat = await ask(new_page, user, model_server, *FAILING)
    other: list[list[Piece]] = [
        [Text("So."), ToolCall("calculator", {"expression": "6*8"}), Usage(10, 5)],
        [Text("It is **48**."), Usage(9, 3)],
    ]
    await chat.ask(f"script:{model_server.script(*other)}")
    await chat.until_state("completed", run=2)
    page = await new_page(admin)
    runs = site.runs(chat.session_id)
    await page.goto(f"/admin/chat/run/?session__id__exact={runs[0]['session_id']}")
    for run in runs:
        await page.locator(f'input[name="_selected_action"][value="{run["id"]}"]').check()
    await page.locator("select[name=action]").select_option("compare")
    await page.locator("button[name=index]").click()
    await page.wait_for_url("**/compare/**")
    cards = page.locator(".compared-steps .step")
    steps = [row for row in site.events(chat.session_id) if row["type"] == "step"]
    await expect(cards).to_have_count(len(steps))
    verdicts = await page.locator(".pair").evaluate_all("(rows) => rows.map((row) => row.dataset.verdict)")
    assert "other arguments" in verdicts
    assert "only left" in verdicts
    await expect(page.locator(".answers del")).to_have_text("42")
    await expect(page.locator(".answers ins")).to_have_text("48")
    differing = await page.locator(".compared-totals tr.differs th").all_inner_texts()
    assert {"Tokens read", "Tokens written", "Steps", "Tool errors"} <= set(differing)
    assert "State" not in differing
    links = page.locator(".compared-totals thead a")
    await expect(links.first).to_have_attribute(
        "href", address_of(site, chat.session_id).removeprefix(site.origin) + f"#run-{runs[0]['id']}"
    )
