"""What agents can do: every tool by its name, and the seconds each is given."""

from __future__ import annotations

from langchain_core.tools import BaseTool

from agents.tools import calculator, clock, fetch, sessions

TOOLS: dict[str, BaseTool] = {
    tool.name: tool for tool in (calculator.calculator, clock.current_time, fetch.fetch_url, sessions.search_sessions)
}

TIMEOUTS: dict[str, float] = {
    "calculator": calculator.TIMEOUT,
    "current_time": clock.TIMEOUT,
    "fetch_url": fetch.TIMEOUT,
    "search_sessions": sessions.TIMEOUT,
}
"""Seconds; whoever runs a tool cuts it off there."""
