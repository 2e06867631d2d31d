"""Where a tool's failure ends: in a sentence that the model can read, never in the end of the run."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, InvalidToolCall, ToolCall, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_core.tools import BaseTool, ToolException
from langgraph.errors import GraphBubbleUp
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command
from pydantic import BaseModel, ValidationError

from agents.context import RunContext
from agents.tools import is_safe_to_repeat

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT = 30.0

UNREADABLE = "unreadable"
"""The one argument of a call whose arguments were no JSON: what the model wrote instead."""


class ToolBoundary(AgentMiddleware[AgentState[Any], RunContext]):
    """Gives every tool its time (in seconds, by name) and answers for it when it fails.

    Whatever goes wrong in a tool, or in the call of it, becomes a `ToolMessage` with `status="error"`; the tools called
    beside it and the run go on. A cancelled run is not a failed tool: `CancelledError` passes. A ToolException's text
    is written for the model and goes to it; any other exception's text goes to the log alone.
    """

    def __init__(self, timeouts: Mapping[str, float]) -> None:
        super().__init__()
        self._timeouts = timeouts

    async def awrap_model_call(
        self,
        request: ModelRequest[RunContext],
        handler: Callable[[ModelRequest[RunContext]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        response = await handler(request)
        for message in response.result:
            if isinstance(message, AIMessage) and message.invalid_tool_calls:
                # LangChain leaves these unanswered: the run would end without a word, or the provider refuse to go on.
                message.tool_calls = [*message.tool_calls, *map(_unreadable_call, message.invalid_tool_calls)]
                message.invalid_tool_calls = []
        return response

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        name = request.tool_call["name"]
        if UNREADABLE in request.tool_call["args"]:
            return failure(request, f"The tool {name} was called with arguments that are not a JSON object.")
        if request.tool is not None and (fault := argument_fault(request.tool, request.tool_call["args"])):
            return failure(request, fault)
        context: Any = request.runtime.context
        if not is_safe_to_repeat(name) and context is not None:
            # A process that was frozen may have lost the run since it was told to begin.
            await context.confirm()
        seconds = self._timeouts.get(name, DEFAULT_TIMEOUT)
        clock = asyncio.timeout(seconds)
        try:
            async with clock:
                return await handler(request)
        except GraphBubbleUp:
            # LangGraph's own signals (an interrupt, a jump) travel as exceptions.
            raise
        except ToolException as error:
            return failure(request, str(error) or f"The tool {name} failed.")
        except Exception as error:
            if clock.expired():
                return failure(request, f"The tool {name} was stopped: it took longer than {seconds:g} seconds.")
            # The tool's own name: that in the call is what a model wrote.
            logger.exception("The tool %s failed", request.tool.name if request.tool is not None else "of no name")
            return failure(request, f"The tool {name} failed unexpectedly ({type(error).__name__}).")


def _unreadable_call(call: InvalidToolCall) -> ToolCall:
    number = call["id"] or uuid.uuid4().hex
    return tool_call(name=call["name"] or "", args={UNREADABLE: call["args"] or ""}, id=number)


def argument_fault(tool: BaseTool, arguments: dict[str, Any]) -> str | None:
    """What is wrong with a call's arguments, in one sentence; None when nothing is."""
    schema = tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return None
    try:
        schema.model_validate(arguments)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in error.errors()
        )
        return f"The tool {tool.name} was called with wrong arguments. {faults}."
    return None


def failure(request: ToolCallRequest, sentence: str) -> ToolMessage:
    """The error result of a call."""
    return ToolMessage(
        content=sentence, name=request.tool_call["name"], tool_call_id=request.tool_call["id"], status="error"
    )
