"""An agent of somebody else's, with a queue of its own."""

from __future__ import annotations

from agents.registry import AgentSpec

AGENTS = [
    AgentSpec(
        name="heavy",
        title="Heavy",
        description="Does what takes long.",
        prompt="You do what takes long.",
        tools=("calculator",),
        queue="heavy",
    )
]
