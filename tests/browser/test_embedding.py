"""The client as a module for anybody's page: `socket.js` alone, without the rest of ours."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

from tests.browser.chat_page import ChatPage
from tests.parts.browser import NewPage
from tests.parts.model_server import ModelServer, Text, ToolCall
from tests.parts.site_process import Site, User

# What a page of one's own does, after the module's documentation.
EMBEDDED = """async ({ module, url, message }) => {
  const { ChatSocket } = await import(module);
  const frames = [];
  const states = [];
  const socket = new ChatSocket(url);
  const ended = new Promise((resolve) => socket.on("reasoning_complete", resolve));
  socket
    .on("reasoning_step", (frame) => frames.push(frame.data))
    .on("state", ({ state }) => states.push(state))
    .on("connected", () => socket.send({ type: "chat", payload: { message } }));
  socket.connect();
  const end = await ended;
  socket.disconnect();
  return { frames, states, end: end.data, mine: "glassbox" in globalThis };
}"""

# What a client does that knows the first table of the wire alone, with the browser's own WebSocket.
FIRST_TABLE = """({ url, message }) => new Promise((resolve) => {
  const frames = [];
  const socket = new WebSocket(url);
  socket.onmessage = ({ data }) => {
    const frame = JSON.parse(data);
    frames.push(frame);
    if (frame.type === "connected") socket.send(JSON.stringify({ type: "ping", timestamp: 7 }));
    if (frame.type === "pong") socket.send(JSON.stringify({ type: "chat", payload: { message } }));
    if (frame.type === "reasoning_complete") resolve(frames);
  };
})"""


def script(model_server: ModelServer) -> str:
    return model_server.script(
        [Text("Let me see."), ToolCall("calculator", {"expression": "6*7"})],
        [Text("It is 42.")],
    )


async def module_address(page: Page) -> str:
    """Where the site serves `socket.js`: under the name that the page of a session loads."""
    await ChatPage(page).open()
    found = await page.evaluate(
        "() => performance.getEntriesByType('resource').map(({ name }) => name)"
        ".find((name) => /\\/chat\\/socket\\.[^/]*js$/.test(name))"
    )
    assert found
    return str(found)


def address(site: Site, session_id: str) -> str:
    return f"{site.origin.replace('http', 'ws', 1)}/ws/chat/{session_id}"


async def test_a_page_of_ones_own_gets_the_steps(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """`new ChatSocket(url).on("reasoning_step", …)` in a page without any of our markup brings every step."""
    module = await module_address(await new_page(user))
    page = await new_page(user)
    await page.goto("/accounts/password_change/")
    message = f"script:{script(model_server)}"
    # The address that is not hashed is the documented one, and is the same module.
    for number, where in enumerate((module, f"{site.origin}/static/chat/socket.js"), start=1):
        url = address(site, f"embedded-{user.name}-{number}")
        got: dict[str, Any] = await page.evaluate(EMBEDDED, {"module": where, "url": url, "message": message})
        assert [step["type"] for step in got["frames"]] == ["thought", "tool_use", "tool_result", "final_answer"]
        assert got["frames"][-1]["content"] == "It is 42."
        assert got["states"] == ["connecting", "connected", "offline"]
        assert got["end"]["state"] == "completed"
        assert not got["mine"]
    # What was asked from there stands in the session's page.
    chat = await ChatPage(page, session_id=f"embedded-{user.name}-1").open()
    await chat.until_state("completed")


async def test_a_client_of_the_first_table(
    new_page: NewPage, user: User, site: Site, model_server: ModelServer
) -> None:
    """A WebSocket that sends `ping` and `chat` and knows nothing else gets every frame that it needs, in order."""
    page = await new_page(user)
    await page.goto("/accounts/password_change/")
    url = address(site, f"plain-{user.name}")
    arguments = {"url": url, "message": f"script:{script(model_server)}"}
    first, again = [await page.evaluate(FIRST_TABLE, arguments) for _ in range(2)]
    for frames in (first, again):
        known = ("connected", "pong", "reasoning_start", "reasoning_step", "response", "reasoning_complete", "error")
        kinds = [frame["type"] for frame in frames if frame["type"] in known]
        assert kinds == ["connected", "pong", "reasoning_start", *["reasoning_step"] * 4, "reasoning_complete"]
        assert next(frame for frame in frames if frame["type"] == "pong")["data"]["timestamp"] == 7
        steps = [frame["data"] for frame in frames if frame["type"] == "reasoning_step"]
        assert [step["type"] for step in steps] == ["thought", "tool_use", "tool_result", "final_answer"]
        assert [step["iteration"] for step in steps] == [1, 1, 1, 2]
        assert steps[2]["tool_name"] == "calculator"
        assert steps[3]["content"] == "It is 42."
