"""What an agent can say: the types that every other module speaks in. Pure; imports nothing of the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class StepType(StrEnum):
    """The five kinds of step, as they stand in the database and on the wire."""

    THOUGHT = "thought"
    TOOL_USE = "tool_use"
    TOOL_RESULT = "tool_result"
    FINAL_ANSWER = "final_answer"
    ERROR = "error"


class FailureCode(StrEnum):
    """Why a run failed: the `code` of its `error` step and of its end."""

    MAX_ITERATIONS = "max_iterations"
    BAD_TOOL_CALL = "bad_tool_call"
    MODEL_ERROR = "model_error"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    OUTCOME_UNKNOWN = "outcome_unknown"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; reasoning tokens are part of the output tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One complete thing an agent said or did.

    `number` counts the steps of a run from 1 without gaps; `iteration` counts the executions of the model in the run
    from 1; `duration` is in seconds. `reasoning` marks a thought that came from the provider's reasoning channel and
    not from the text of the answer: only the latter is part of the conversation that the model sees again.
    """

    number: int
    type: StepType
    content: str
    iteration: int
    tool_name: str = ""
    call_id: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    is_error: bool = False
    is_partial: bool = False
    reasoning: bool = False
    duration: float | None = None
    usage: Usage | None = None
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a step still being written.

    `step` is the number that the step will have, `call` the number of the model call in the attempt, from 1, retried
    ones included. `type` is `thought` for the reasoning channel and `final_answer` for text, which is shown as the
    answer in progress until a tool call says otherwise.
    """

    step: int
    call: int
    type: StepType
    iteration: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """The model is asked again: what the calls before `call` wrote and did not finish is void."""

    step: int
    call: int
    iteration: int


Said = Step | Delta | Discard


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a user said and the recorded steps of the run that answered it."""

    message: str
    steps: Sequence[Step]
