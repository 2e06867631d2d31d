"""The only fake: a chat model that says what the test wrote down, through LangChain's own interface.

    model = ScriptedModel([["I ", "look."], [Call("calculator", {"expression": "6*7"})]], [["42"]])

Each call of the model plays the next turn. A turn is a list of pieces: a `str` is text, `Think` reasoning, `Call` a
tool call (its arguments come in two fragments), an `asyncio.Event` is waited for, an exception is raised.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult


@dataclass(frozen=True)
class Think:
    text: str


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    id: str = ""


Piece = str | Think | Call | asyncio.Event | BaseException
Turn = Sequence[Piece]


class ScriptedModel(BaseChatModel):
    """See the module. `asked` keeps the conversations that the model was given."""

    turns: list[Any]
    asked: list[list[BaseMessage]] = []

    def __init__(self, *turns: Turn) -> None:
        super().__init__(turns=list(turns), asked=[])  # type: ignore[call-arg]  # pydantic makes the parameters

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
        raise AssertionError("the site streams")

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **options: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = self.turns[len(self.asked) % len(self.turns)]
        self.asked.append(list(messages))
        calls = 0
        for piece in turn:
            await asyncio.sleep(0)
            match piece:
                case str():
                    yield _chunk(content=piece)
                case Think():
                    yield _chunk(content=[{"type": "reasoning", "reasoning": piece.text}])
                case Call():
                    whole = json.dumps(piece.arguments)
                    call_id = piece.id or f"call-{len(self.asked)}-{calls}"
                    for name, text, id_ in ((piece.name, whole[:3], call_id), (None, whole[3:], None)):
                        yield _chunk(
                            content="",
                            tool_call_chunks=[
                                {"index": calls, "name": name, "args": text, "id": id_, "type": "tool_call_chunk"}
                            ],
                        )
                    calls += 1
                case asyncio.Event():
                    await piece.wait()
                case BaseException():
                    raise piece
        usage = {"input_tokens": 10, "output_tokens": len(turn), "total_tokens": 10 + len(turn)}
        yield _chunk(content="", usage_metadata=usage, chunk_position="last")


def _chunk(**fields: Any) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(**fields))
