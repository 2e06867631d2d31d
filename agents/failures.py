"""Why a run failed, in a sentence for the person who asked. Details go to the server's log: they may hold secrets."""

from __future__ import annotations

from dataclasses import dataclass

from agents.model_choice import ModelError
from agents.registry import UnknownAgent
from agents.steps import FailureCode
from agents.stream import BadToolCall, IterationLimit


@dataclass(frozen=True, slots=True)
class Failure:
    code: FailureCode
    message: str


def explain(error: Exception, *, run_seconds: float) -> Failure:
    """What to tell of an exception that ended a run."""
    match error:
        case IterationLimit():
            return Failure(FailureCode.MAX_ITERATIONS, f"Stopped at the limit of steps: {error} Ask for less at once.")
        case BadToolCall():
            return Failure(
                FailureCode.BAD_TOOL_CALL,
                f"The model called the tool {error} with arguments that are not JSON. Try again.",
            )
        case TimeoutError():
            return Failure(
                FailureCode.TIMED_OUT, f"The run took longer than {run_seconds:g} s, or the model did not answer."
            )
        case ModelError() | UnknownAgent():
            return Failure(FailureCode.MODEL_ERROR, str(error))
    # The providers' clients share no base class, but their errors carry the HTTP status or are named after what broke.
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return Failure(
            FailureCode.MODEL_ERROR, f"The model's server answered with HTTP status {status}{_advice(status)}."
        )
    name = type(error).__name__
    if "Timeout" in name:
        return Failure(FailureCode.TIMED_OUT, "The model's server did not answer in time. Try again.")
    module = type(error).__module__.partition(".")[0]
    if "Connect" in name or "Protocol" in name or "Read" in name or module in ("httpx", "httpcore"):
        return Failure(
            FailureCode.MODEL_ERROR, f"The connection to the model's server failed or broke ({name}). Try again."
        )
    if module in ("openai", "anthropic", "ollama"):
        return Failure(FailureCode.MODEL_ERROR, f"The model's server sent an error ({name}). Try again.")
    return Failure(FailureCode.INTERNAL, f"The run broke off ({name}). The server's log has the details.")


def _advice(status: int) -> str:
    match status:
        case 401 | 403:
            return ": the key is missing or not accepted"
        case 404:
            return ": it does not know this model"
        case 429:
            return ": it is asked too often, or the quota is used up; try again later"
        case 500 | 502 | 503 | 504 | 529:
            return ": it is overloaded or broken; try again later"
    return ""
