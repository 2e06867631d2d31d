"""The agent's own cost: the same model and the same agent as in a run, in a process of their own, and nobody told."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.bench.model import question
from tests.bench.tokens import Reading


class Thinkers:
    """Lives in an `Assistant`."""

    async def start(self, *, port: int) -> None:
        """Import and make what a worker makes when it warms up."""
        from agents import llm, registry

        self._model = llm.chat_model(
            "openai:bench", openai_base_url=f"http://127.0.0.1:{port}/v1", openai_api_key="none"
        )
        self._agent = registry.build(registry.DEFAULT_AGENT, model=self._model, max_iterations=20)

    async def think(self, *, runs: int, count: int, rate: float, spread: float, is_bare: bool) -> list[Reading]:
        """So many answers at once, streamed through the agent, or from the model's client alone (`is_bare`)."""
        stream = self._ask_model if is_bare else self._ask_agent

        async def think_one(number: int) -> Reading:
            await asyncio.sleep(spread * number / runs)
            arrivals: list[float] = []
            await stream(question(count, rate), arrivals)
            return Reading(lost=count - len(arrivals), doubled=0, held_back=0, arrivals=arrivals, delays=[])

        return list(await asyncio.gather(*(think_one(number) for number in range(runs))))

    async def _ask_agent(self, message: str, arrivals: list[float]) -> None:
        from langchain_core.messages import HumanMessage

        from agents.context import RunContext
        from agents.steps import Delta
        from agents.stream import Mapper, stream

        async def nothing(words: str, limit: int) -> list[Any]:
            return []

        said = stream(
            self._agent,
            [HumanMessage(message)],
            context=RunContext(search_sessions=nothing),
            mapper=Mapper(),
        )
        async for at_once in said:
            arrivals.extend(time.monotonic() for one in at_once if isinstance(one, Delta))

    async def _ask_model(self, message: str, arrivals: list[float]) -> None:
        async for chunk in self._model.astream(message):
            arrivals += [time.monotonic()] if chunk.content else []
