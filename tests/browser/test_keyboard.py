"""Everybody's page: by keyboard alone, by its names for those who listen, legible in both schemes, and on a narrow screen."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.chat_page import ChatPage
from tests.parts.browser import NewPage
from tests.parts.model_server import Gate, ModelServer, Reasoning, Refusal, Text, ToolCall
from tests.parts.site_process import Site, User

# Contrast by WCAG 2.2, of each text on the page against what lies behind it.
CONTRASTS = """() => {
  const channels = (colour) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.canvas.width = canvas.canvas.height = 1;
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return { rgb: [red, green, blue], alpha: alpha / 255 };
  };
  const over = (top, below) => below.map((channel, at) => top.rgb[at] * top.alpha + channel * (1 - top.alpha));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const own = channels(getComputedStyle(element).backgroundColor);
    return own.alpha === 1 ? own.rgb : over(own, behind(element.parentElement));
  };
  const luminance = (rgb) => {
    const [red, green, blue] = rgb.map((channel) => {
      const share = channel / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const words = walker.currentNode.textContent.trim();
    if (!words || !element.checkVisibility({ visibilityProperty: true }) || element.closest("script, option")) continue;
    const ground = behind(element);
    const ink = over(channels(getComputedStyle(element).color), ground);
    const [dark, light] = [luminance(ink), luminance(ground)].sort((one, other) => one - other);
    found.push({ words: words.slice(0, 40), where: element.className || element.localName, ratio: (light + 0.05) / (dark + 0.05) });
  }
  return found;
}"""

ALL_KINDS = ["thought", "tool_use", "tool_result", "final_answer", "error"]


async def every_kind_of_step(chat: ChatPage, model_server: ModelServer) -> None:
    """Fill the page with a completed run and a failed one, so that each kind of card stands there."""
    good = model_server.script(
        [
            Reasoning("Some `code`, a [link](https://example.org) and a quote.\n\n> quoted"),
            ToolCall("calculator", {"expression": "6*7"}),
            ToolCall("calculator", {"expression": "1/0"}),
        ],
        [Text("| a | b |\n|---|---|\n| `1` | [2](https://example.org) |\n\n> quoted\n\n" + "long" * 60)],
    )
    bad = model_server.script([Refusal(400, "no")])
    for number, (script, state) in enumerate(((good, "completed"), (bad, "failed")), start=1):
        await chat.ask(f"script:{script} " + "word " * 30)
        await chat.until_state(state, run=number)
    for kind in ALL_KINDS:
        await expect(chat.steps(kind).first).to_be_visible()


async def tab_to(page: Page, name: re.Pattern[str] | str, *, limit: int = 60) -> None:
    """Press Tab until what has the focus goes by this name; on the way the focus must always be visible."""
    for _ in range(limit):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(
            """() => {
              const { activeElement: element } = document;
              if (element === document.body) return null;
              const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
              const label = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;
              const outlined = outlineStyle !== "none" && parseFloat(outlineWidth) > 0;
              return { name: label.trim(), shown: outlined || boxShadow !== "none" };
            }"""
        )
        if focused is None:
            continue
        assert focused["shown"], f"the focus is not to be seen on {focused['name']!r}"
        if re.fullmatch(name, focused["name"]):
            return
    pytest.fail(f"Tab never came to {name!r}")


async def test_the_whole_way_by_keyboard(new_page: NewPage, user: User, model_server: ModelServer) -> None:
    """Sign in, choose an agent, switch reasoning, ask, stop, ask again, open the frames: no pointer is needed."""
    endless = model_server.script([Text(["On and on "]), Gate("never")])
    short = model_server.script([Text("Short.")])
    page = await new_page()
    await page.goto("/")
    await expect(page.get_by_label("Username")).to_be_focused()
    await page.keyboard.type(user.name)
    await page.keyboard.press("Tab")
    await page.keyboard.type(user.password)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/s/*/")
    chat = ChatPage(page, session_id=page.url.rstrip("/").rpartition("/")[2])
    await chat.until_current()
    # Who arrives can write at once.
    await expect(chat.message).to_be_focused()
    await page.keyboard.type(f"script:{endless}")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("second line")
    await tab_to(page, "Agent")
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_label("Agent", exact=True)).to_have_value("assistant")
    await tab_to(page, "Reasoning")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("switch", name="Reasoning")).not_to_be_checked()
    await page.keyboard.press("Space")
    await tab_to(page, "Send")
    await page.keyboard.press("Enter")
    await expect(chat.run().locator(".bubble-text")).to_have_text(f"script:{endless}\nsecond line")
    await expect(chat.run().locator(".run-agent")).to_have_text("Assistant")
    await expect(chat.draft("final_answer")).to_have_text("On and on")
    await expect(chat.message).to_be_focused()
    await tab_to(page, "Stop")
    await page.keyboard.press("Enter")
    await chat.until_state("stopped")
    # Nobody is left without a place: the focus does not go with the button.
    await chat.message.focus()
    await page.keyboard.type(f"script:{short}")
    await page.keyboard.press("Enter")
    await chat.until_state("completed", run=2)
    await tab_to(page, "Frames")
    await page.keyboard.press("Enter")
    await expect(page.locator("#debug-frames li").first).to_be_visible()


async def test_the_skip_link(page: Page) -> None:
    """The first thing on each page offers to skip what stands on every page, and shows itself when it is reached."""
    await ChatPage(page).open()
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).not_to_be_in_viewport()
    # A session's page begins in the middle, in the field for the message: back from there.
    for _ in range(20):
        await page.keyboard.press("Shift+Tab")
        if await skip.evaluate("(link) => link === document.activeElement"):
            break
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()


async def test_everything_has_a_name_and_news_is_told(page: Page, model_server: ModelServer) -> None:
    """Roles and names as a screen reader gets them; each step is told once in a live region, the state as a status."""
    chat = await ChatPage(page).open()
    script = model_server.script(
        [Text("Let me see."), ToolCall("calculator", {"expression": "6*7"})], [Text("It is 42.")]
    )
    await chat.ask(f"script:{script}")
    await chat.until_state("completed")
    for role, name in (
        ("textbox", "Your message"),
        ("combobox", "Agent"),
        ("switch", "Reasoning"),
        ("button", "Send"),
        ("button", "Disconnect"),
        ("region", "Transcript"),
        ("navigation", "Your sessions"),
        ("link", "New session"),
    ):
        await expect(page.get_by_role(role, name=name)).to_be_visible()  # type: ignore[arg-type]  # a literal for each
    await expect(page.get_by_role("status").filter(has_text="Connected")).to_have_text("Connected")
    await expect(page.get_by_role("heading", level=1)).to_have_count(1)
    nameless = await page.evaluate(
        """() => [...document.querySelectorAll("button, a[href], input, select, textarea, summary")]
          .filter((element) => element.checkVisibility())
          .filter((element) => !element.getAttribute("aria-label"))
          .filter((element) => !(element.labels?.[0] ?? element).textContent.trim())
          .map((element) => element.outerHTML)"""
    )
    assert nameless == []
    live = page.locator("[aria-live=polite]")
    for told in ("Thought: Let me see.", "Tool use: calculator", "Tool result: calculator", "Final answer: It is 42."):
        await expect(live.get_by_text(told)).to_have_count(1)
    await expect(page.get_by_role("article")).to_have_count(4)
    # An empty message is refused in words that belong to the field.
    await chat.message.press("Enter")
    await expect(page.get_by_role("alert").filter(has_text="nothing to send")).to_be_visible()
    await expect(chat.message).to_have_attribute("aria-invalid", "")


async def test_history_is_not_read_out(page: Page, model_server: ModelServer) -> None:
    """What was said before one came is there to be read, and is not told as if it were news."""
    chat = await ChatPage(page).open()
    await chat.ask(f"script:{model_server.script([Text('Said before.')])}")
    await chat.until_state("completed")
    await chat.reload()
    await expect(chat.steps("final_answer")).to_be_visible()
    assert await page.locator("[aria-live=polite]").text_content() == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_contrast(new_page: NewPage, user: User, model_server: ModelServer, scheme: str) -> None:
    """Every text on the page has a contrast of at least 4.5:1 against its ground, in the light and the dark scheme."""
    page = await new_page(user, color_scheme=scheme, reduced_motion="reduce")
    chat = await ChatPage(page).open()
    await every_kind_of_step(chat, model_server)
    grounds = [
        await chat.steps(kind).first.evaluate("(card) => getComputedStyle(card).backgroundColor") for kind in ALL_KINDS
    ]
    assert len(set(grounds)) == len(ALL_KINDS)
    texts = await page.evaluate(CONTRASTS)
    assert len(texts) > 40
    assert [text for text in texts if text["ratio"] < 4.5] == []


async def test_a_narrow_screen(new_page: NewPage, user: User, site: Site, model_server: ModelServer) -> None:
    """At 360 pixels nothing must be scrolled sideways, and everything that one needs is within the screen."""
    page = await new_page(user, viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    chat = await ChatPage(page).open()
    await every_kind_of_step(chat, model_server)
    for selector in ("html", "body", "#scroller", "main"):
        wide = await page.locator(selector).evaluate("(element) => element.scrollWidth - element.clientWidth")
        assert wide <= 0, selector
    beyond = await page.evaluate(
        """() => [...document.querySelectorAll(".step, .bubble, .composer *, .site-header *, .run-header *, .run-end *")]
          .filter((element) => element.checkVisibility() && !element.closest(".visually-hidden"))
          .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
          .map((element) => element.outerHTML.slice(0, 120))"""
    )
    assert beyond == []
    for control in (chat.message, page.get_by_role("button", name="Send"), page.locator("#connect"), chat.connection):
        await expect(control).to_be_in_viewport(ratio=1)
    # The list of sessions can be reached and closed again.
    await page.get_by_text("Sessions", exact=True).tap()
    await expect(page.locator("#session-list li").first).to_be_visible()
