"""A search through the user's own earlier sessions, which the site lends to the run."""

from __future__ import annotations

from langchain.tools import ToolRuntime
from langchain_core.tools import tool

from agents.context import Excerpt, RunContext

MAX_EXCERPTS = 5
MAX_CHARACTERS = 600


def listed(excerpts: list[Excerpt]) -> str:
    """The excerpts as a numbered list, each with its title, day and text cut to MAX_CHARACTERS."""
    lines = []
    for number, excerpt in enumerate(excerpts, 1):
        text = " ".join(excerpt.text.split())
        if len(text) > MAX_CHARACTERS:
            text = text[:MAX_CHARACTERS].rstrip() + " …"
        lines.append(f"{number}. “{excerpt.title or 'Untitled'}” ({excerpt.when[:10]}): {text}")
    return "\n".join(lines)


@tool
async def search_sessions(query: str, runtime: ToolRuntime[RunContext]) -> str:
    """Search what was said in the user's own earlier sessions.

    Give the few words that matter, for example: solar panels cost
    """
    words = query.strip()
    if not words:
        return "Nothing to search for: give the words to look for."
    excerpts = await runtime.context.search_sessions(words, MAX_EXCERPTS)
    if not excerpts:
        return f"Nothing in the earlier sessions matches “{words[:100]}”. Fewer or other words may find more."
    return listed(excerpts[:MAX_EXCERPTS])
