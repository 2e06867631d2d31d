"""What agents can do: every tool by its name, known before it is imported.

A tool is a function in a module of its own. Importing it takes LangChain, and so seconds, which a site that has only to answer
need not wait for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool: the function `name` in `module`, and the seconds that it is given.

    `safe_to_repeat` says that it only looks. One that began in a process which was then lost runs again; any other may have had
    its effect, is not run again, and is left to the user's judgement.
    """

    name: str
    module: str
    timeout: float
    safe_to_repeat: bool = False

    def load(self) -> BaseTool:
        """The function as LangChain takes it, imported when first asked for."""
        tool: BaseTool = getattr(importlib.import_module(self.module), self.name)
        return tool


TOOLS: dict[str, ToolSpec] = {
    tool.name: tool
    for tool in (
        ToolSpec(name="calculator", module="agents.tools.calculator", timeout=2.0, safe_to_repeat=True),
        ToolSpec(name="current_time", module="agents.tools.clock", timeout=5.0, safe_to_repeat=True),
        ToolSpec(name="fetch_url", module="agents.tools.fetch", timeout=22.0, safe_to_repeat=True),
        ToolSpec(name="search_sessions", module="agents.tools.sessions", timeout=10.0, safe_to_repeat=True),
    )
}


def is_safe_to_repeat(name: str) -> bool:
    """Whether a tool that may have run already may run again; never one that nobody knows any more."""
    return name in TOOLS and TOOLS[name].safe_to_repeat
