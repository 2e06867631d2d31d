"""The agents of a process: its model and each agent are made once, when first asked for."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings

from agents import registry

if TYPE_CHECKING:
    from chat.driving import Driving


class PreparedAgents:
    def __init__(self) -> None:
        self._model: registry.Model | None = None
        self._agents: dict[str, registry.Agent] = {}

    async def agent(self, driving: Driving) -> registry.Agent:
        """The agent of a run: made once for each name, but where a run goes on in the middle, for it alone."""
        name = driving.claimed.run.agent
        if self._model is None:
            from agents import llm

            # In a thread: importing a provider takes seconds.
            self._model = await asyncio.to_thread(
                llm.chat_model,
                settings.MODEL,
                openai_base_url=settings.OPENAI_BASE_URL,
                demo_delay=settings.DEMO_TOKEN_SECONDS,
            )
            # All that was imported stays, and is not looked through for garbage any more: that took a third of a second each time,
            # in which every run stood still.
            gc.freeze()
        build = partial(registry.build, name, model=self._model)
        if driving.iterations:
            # The message that is handed back counts as a call of the model.
            left = max(settings.MAX_ITERATIONS - driving.iterations, 0) + (driving.replayed is not None)
            return build(max_iterations=max(left, 1), replayed=driving.replayed)
        if name not in self._agents:
            self._agents[name] = build(max_iterations=settings.MAX_ITERATIONS)
        return self._agents[name]
