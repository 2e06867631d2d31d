"""Asking: what an agent thinks appears while it thinks, each step in its colour, and stays."""

from __future__ import annotations

import math

from playwright.async_api import Page, expect

from tests.browser.chat_page import ChatPage, assert_equal_to_database
from tests.parts.browser import NewPage
from tests.parts.model_server import Gate, ModelServer, Reasoning, Text, ToolCall, Usage, stepped
from tests.parts.site_process import Site, User

COLOURS = {
    "thought": ("rgb(227, 242, 253)", "💭", "Thought"),
    "tool_use": ("rgb(255, 243, 224)", "🔧", "Tool use"),
    "tool_result": ("rgb(243, 229, 245)", "📊", "Tool result"),
    "final_answer": ("rgb(232, 245, 233)", "✅", "Final answer"),
    "error": ("rgb(255, 235, 238)", "⚠️", "Error"),
}


async def assert_card(chat: ChatPage, step_type: str, *, iteration: int, number: int = 0) -> None:
    """A recorded step of this type stands in its colour, with icon, word, iteration and time."""
    card = chat.steps(step_type).nth(number)
    colour, icon, word = COLOURS[step_type]
    await expect(card).to_be_visible()
    await expect(card).to_have_css("background-color", colour)
    await expect(card.locator(".step-icon")).to_have_text(icon)
    await expect(card.get_by_role("heading")).to_have_text(word)
    if iteration:
        await expect(card.locator("[data-slot=iteration]")).to_have_text(f"iteration {iteration}")
    assert await card.locator("time").get_attribute("datetime")


async def test_from_the_sign_in_to_the_answer(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """Someone signs in, asks, and sees each step while the model is still held at the next one."""
    script = model_server.script(
        [
            Text(["Let me "]),
            Gate("said"),
            Text(["calculate."]),
            Gate("call"),
            ToolCall("calculator", {"expression": "6*7"}),
        ],
        [Gate("result"), Text(["It is "]), Gate("answer"), Text(["**42**."]), Gate("end"), Usage(12, 5)],
    )
    page = await new_page()
    await page.goto("/")
    await page.get_by_label("Username").fill(user.name)
    await page.get_by_label("Password").fill(user.password)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/s/*/")
    chat = ChatPage(page, session_id=page.url.rstrip("/").rpartition("/")[2])
    await chat.until_current()
    await expect(page.get_by_text("Watch an agent think")).to_be_visible()

    await chat.ask(f"script:{script} What is 6*7?")
    await expect(chat.run().locator(".bubble")).to_have_text(f"script:{script} What is 6*7?")
    await expect(chat.message).to_have_value("")
    await model_server.at("said")
    await expect(chat.draft("final_answer")).to_have_text("Let me")
    await chat.until_state("running")

    model_server.open("said")
    await model_server.at("call")
    await expect(chat.draft("final_answer")).to_have_text("Let me calculate.")

    # The text was no answer: a tool call follows it.
    model_server.open("call")
    await model_server.at("result")
    await assert_card(chat, "thought", iteration=1)
    await expect(chat.steps("thought").locator("[data-slot=body]")).to_have_text("Let me calculate.")
    await assert_card(chat, "tool_use", iteration=1)
    await expect(chat.steps("tool_use")).to_contain_text("calculator")
    await expect(chat.steps("tool_use").locator("pre")).to_have_text('{ "expression": "6*7" }')
    await assert_card(chat, "tool_result", iteration=1)
    await expect(chat.steps("tool_result").locator("pre")).to_have_text("42")
    await expect(chat.drafts).to_have_count(0)
    await expect(chat.run().get_by_text("Working…")).to_be_visible()

    model_server.open("result")
    await model_server.at("answer")
    await expect(chat.draft("final_answer")).to_have_text("It is")
    model_server.open("answer")
    await model_server.at("end")
    await expect(chat.draft("final_answer").locator("strong")).to_have_text("42")
    model_server.open("end")

    await chat.until_state("completed")
    await assert_card(chat, "final_answer", iteration=2)
    await expect(chat.steps("final_answer").locator("[data-slot=body]")).to_have_text("It is 42.")
    await expect(chat.steps("final_answer").locator("[data-slot=body] strong")).to_have_text("42")
    await expect(chat.steps("final_answer")).to_contain_text("12 → 5 tokens")
    await expect(chat.run().locator(".run-end")).to_contain_text("Completed")
    await expect(chat.steps()).to_have_count(4)
    await expect(page.locator("#session-list [aria-current=page]")).to_contain_text("What is 6*7?")


async def test_every_token_appears_before_the_next_is_there(page: Page, site: Site, model_server: ModelServer) -> None:
    """Reasoning and answer grow by each token while the model has not said the next one yet."""
    thoughts, words = ["First", " second", " third."], ["One", " two", " three", " four", " five."]
    script = model_server.script([*stepped("token", [Reasoning(thoughts), Text(words)]), Gate("end")])
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{script}")
    for tokens, step_type in ((thoughts, "thought"), (words, "final_answer")):
        for count in range(1, len(tokens) + 1):
            model_server.open("token")
            await expect(chat.draft(step_type)).to_have_text("".join(tokens[:count]))
    # The reasoning is not lost sight of while the answer is being written.
    await expect(chat.draft("thought")).to_have_text("".join(thoughts))
    await expect(chat.drafts.nth(0)).to_contain_text("Thinking…")
    await expect(chat.drafts.nth(1)).to_contain_text("Answering…")
    model_server.open("end")
    await chat.until_state("completed")
    await assert_card(chat, "thought", iteration=1)
    await assert_equal_to_database(site, chat)


async def test_without_reasoning_the_answer_alone_is_shown(page: Page, site: Site, model_server: ModelServer) -> None:
    """With the switch off the page shows only the answer; every step is recorded all the same."""
    script = model_server.script(
        [Text("I must calculate."), ToolCall("calculator", {"expression": "6*7"})],
        [Text("It is 42."), Gate("end")],
    )
    chat = await ChatPage(page).open()
    reasoning = page.get_by_role("switch", name="Reasoning")
    await expect(reasoning).to_be_checked()
    await reasoning.uncheck()
    await chat.ask(f"script:{script}")
    await model_server.at("end")
    await expect(chat.run().get_by_text("3 steps so far")).to_be_visible()
    await expect(chat.drafts).to_have_count(0)
    await expect(chat.steps()).to_have_count(0)
    model_server.open("end")
    await chat.until_state("completed")
    await expect(chat.steps()).to_have_count(1)
    await assert_card(chat, "final_answer", iteration=2)
    await expect(chat.run()).not_to_contain_text("I must calculate.")
    types = [row["step_type"] for row in site.events(chat.session_id) if row["type"] == "step"]
    assert types == ["thought", "tool_use", "tool_result", "final_answer"]
    await assert_equal_to_database(site, chat)
    # The switch is a habit, not a wish for one message.
    await chat.reload()
    await expect(reasoning).not_to_be_checked()


async def test_the_first_message_names_the_session_at_once(page: Page, model_server: ModelServer) -> None:
    """In the list, in the browser's tab and in the heading, as a fresh load does; later ones do not name it anew."""
    chat = await ChatPage(page).open()
    heading, item = page.get_by_role("heading", level=1), page.locator("#session-list [aria-current=page]")
    await expect(heading).to_have_text("Session New session")
    scripts = [model_server.script([Text("Yes.")]) for _ in range(2)]
    for number, script in enumerate(scripts, start=1):
        await chat.ask(f"script:{script}")
        await expect(chat.run(number)).to_have_attribute("data-state", "completed")
    for _ in range(2):
        await expect(heading).to_have_text(f"Session script:{scripts[0]}")
        await expect(page).to_have_title(f"script:{scripts[0]} · Glassbox")
        await expect(item).to_contain_text(f"script:{scripts[0]}")
        await chat.reload()


async def test_the_agent_that_is_chosen_answers(page: Page, site: Site, model_server: ModelServer) -> None:
    """Each message goes to the agent chosen for it, who has tools of its own."""
    scripts = [model_server.script([Text("ok")]) for _ in range(2)]
    chat = await ChatPage(page).open()
    agent = page.get_by_label("Agent", exact=True)
    await expect(agent).to_have_value("researcher")
    for number, (name, title) in enumerate((("writer", "Writer"), ("analyst", "Analyst")), start=1):
        await agent.select_option(name)
        await chat.ask(f"script:{scripts[number - 1]}")
        await chat.until_state("completed", run=number)
        await expect(chat.run(number).locator(".run-agent")).to_have_text(title)
    assert [run["agent"] for run in site.runs(chat.session_id)] == ["writer", "analyst"]
    assert "calculator" not in model_server.requests(scripts[0])[0].tools
    assert "calculator" in model_server.requests(scripts[1])[0].tools
    await assert_equal_to_database(site, chat)


async def test_markdown_is_rendered_while_it_streams(page: Page, model_server: ModelServer) -> None:
    """Headings, lists, tables, code and links of thoughts and answers stand as such, before and after the end."""
    markdown = (
        "# Title\n\nSome **bold** text and a [link](https://example.org/a).\n\n- one\n- two\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint(1 < 2)\n```\n\nhttps://example.org/b and the end."
    )
    script = model_server.script([Text(list(markdown)), Gate("end")])
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{script}")
    await model_server.at("end")
    for body in (chat.draft("final_answer"), chat.steps("final_answer").locator("[data-slot=body]")):
        await expect(body).to_contain_text("and the end.")
        await expect(body.get_by_role("heading", name="Title")).to_be_visible()
        await expect(body.locator("strong")).to_have_text("bold")
        await expect(body.get_by_role("listitem")).to_have_text(["one", "two"])
        await expect(body.get_by_role("cell")).to_have_text(["1", "2"])
        await expect(body.locator("pre code")).to_have_text("print(1 < 2)\n")
        links = body.get_by_role("link")
        await expect(links).to_have_text(["link", "https://example.org/b"])
        for link in await links.all():
            assert "noopener" in (await link.get_attribute("rel") or "").split()
            assert await link.get_attribute("target") == "_blank"
        model_server.open("end", math.inf)


async def test_a_tool_that_fails_is_marked(page: Page, site: Site, model_server: ModelServer) -> None:
    """The result of a failed tool is not taken for a good one, and the agent goes on."""
    calls = [ToolCall("calculator", {"expression": "1/0"}), ToolCall("calculator", {"expression": "1+1"})]
    script = model_server.script(calls, [Text("One worked.")])
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{script}")
    await chat.until_state("completed")
    await expect(chat.steps("tool_result")).to_have_count(2)
    failed = chat.steps("tool_result").filter(has_text="failed")
    await expect(failed).to_have_count(1)
    await expect(failed.locator("pre")).not_to_have_text("2")
    await assert_equal_to_database(site, chat)
