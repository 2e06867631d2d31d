"""Going on where another process broke off: the model is not asked again for what it has said already."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage

from agents.context import RunContext


class Replay(AgentMiddleware[AgentState[Any], RunContext]):
    """Hands the agent a recorded message of the model in place of its first call; the tools that it asks for and that have
    no result in the conversation then run, and no others. For one run: a second call goes to the model.
    """

    def __init__(self, message: AIMessage) -> None:
        super().__init__()
        self._message: AIMessage | None = message

    async def awrap_model_call(
        self,
        request: ModelRequest[RunContext],
        handler: Callable[[ModelRequest[RunContext]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        message, self._message = self._message, None
        return await handler(request) if message is None else ModelResponse(result=[message])
