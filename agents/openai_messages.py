"""A conversation in the form of OpenAI's chat, which data sets for evaluation and fine-tuning are kept in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from agents import history
from agents.steps import Turn


def openai_messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The turns as the model saw them: reasoning, and calls of tools without a result, are no part of a conversation."""
    return [_message(message) for message in history.messages(turns, ask="")[:-1]]


def _message(message: BaseMessage) -> dict[str, Any]:
    text = str(message.content)
    if isinstance(message, ToolMessage):
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": text}
    if not isinstance(message, AIMessage):
        return {"role": "user", "content": text}
    if not message.tool_calls:
        return {"role": "assistant", "content": text}
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {
                "name": call["name"],
                "arguments": json.dumps(call["args"], ensure_ascii=False, sort_keys=True),
            },
        }
        for call in message.tool_calls
    ]
    return {"role": "assistant", "content": text or None, "tool_calls": calls}
