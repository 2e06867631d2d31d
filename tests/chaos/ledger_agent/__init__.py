"""An agent whose tools have an effect that can be counted: each writes a line into the ledger."""

from __future__ import annotations

from agents.registry import AgentSpec
from agents.tools import ToolSpec

NAME = "bookkeeper"
ONCE = "ledger"
"""Writes a line that must not be there twice."""
AGAIN = "glance"
"""Writes a line, and says of itself that it only looks."""
SECONDS = 120.0

TOOLS = [
    ToolSpec(name=ONCE, module="tests.chaos.ledger_agent.tools", timeout=SECONDS),
    ToolSpec(name=AGAIN, module="tests.chaos.ledger_agent.tools", timeout=SECONDS, safe_to_repeat=True),
]
AGENTS = [
    AgentSpec(
        name=NAME,
        title="Bookkeeper",
        description="Writes into the ledger.",
        prompt="You keep the ledger.",
        tools=(ONCE, AGAIN),
    )
]
