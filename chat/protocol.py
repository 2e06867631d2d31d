"""The wire: every frame, both ways, and every close code. Nothing else in the project
spells a frame; one file, because whoever writes a client reads it whole.

A frame is one JSON text. From the browser come commands, read by `parse`. To the browser go *recorded* frames, which
carry the `seq` and `run_id` of a committed event, and *passing* frames, which carry no `seq` and are worthless later
(deltas, acknowledgements, pongs, errors). A client applies recorded frames in the order of `seq`, drops what it has,
and sends `resume` where it sees a gap. A client that knows only `chat`, `ping`, `interrupt` and `connected`,
`reasoning_start`, `reasoning_step`, `response`, `reasoning_complete`, `error`, `pong`, `interrupted` needs nothing
else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

VERSION: Final = 1
MAX_FRAME_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 16
SESSION_ID: Final = r"[A-Za-z0-9_-]{1,64}"
MAX_COMMENT: Final = 2000


class Close(IntEnum):
    """Close codes: of ours, 4000-4499 mean "come back" and 4500-4999 "do not"; 1012 is the protocol's "service restart"."""

    RESTART = 1012
    TRY_AGAIN = 4001
    TOO_SLOW = 4008
    FLOOD = 4029
    TOO_MANY = 4030
    SIGNED_OUT = 4501
    NOT_FOUND = 4504


class Code(StrEnum):
    """Why a frame was refused: the `code` of an `error` frame. Those of failed runs are `agents.steps.FailureCode`."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    BINARY = "binary"
    BAD_TEXT = "bad_text"
    UNKNOWN_TYPE = "unknown_type"
    BAD_FIELD = "bad_field"
    UNKNOWN_AGENT = "unknown_agent"
    UNKNOWN_RUN = "unknown_run"
    NO_ANSWER = "no_answer"
    QUEUE_FULL = "queue_full"
    RATE_LIMITED = "rate_limited"
    NOT_SAVED = "not_saved"
    LIMIT_REACHED = "limit_reached"


class Refused(Exception):
    """A frame or a command that is not taken; `code` and the sentence go back to the client, the socket stays open.

    Where it passes by itself, `retry_after` says in how many seconds it is worth another try.
    """

    def __init__(self, code: Code, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


# --- commands: browser to server --------------------------------------------------------------------------------------

Identifier = Annotated[str, StringConstraints(pattern=rf"^{SESSION_ID}$")]


class _Command(BaseModel):
    # Unknown fields are ignored: other people's clients send what they like beside what is read.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


class ChatPayload(_Command):
    message: Annotated[str, Field(min_length=1, pattern=r"\S")]
    agent_name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    enable_reasoning: bool | None = None
    client_id: Identifier | None = None


class Chat(_Command):
    """Ask something. `client_id`, chosen by the client, makes sending it again harmless."""

    type: Literal["chat"]
    payload: ChatPayload
    client_id: Identifier | None = None

    @property
    def message_id(self) -> str | None:
        """The `client_id`, in either of its places."""
        return self.client_id or self.payload.client_id


class PingPayload(_Command):
    timestamp: float | int | str | None = None


class Ping(_Command):
    """Answered by `pong` with the same timestamp and the head `seq`."""

    type: Literal["ping"]
    timestamp: float | int | str | None = None
    payload: PingPayload | None = None

    @property
    def mark(self) -> float | int | str | None:
        """The `timestamp`, in either of its places."""
        if self.timestamp is None and self.payload is not None:
            return self.payload.timestamp
        return self.timestamp


class Interrupt(_Command):
    """Stop the active run, or the one that is named; answered by `interrupted` once the run has ended.

    A client that names the run never stops another one, which may have begun by the time the command arrives.
    """

    type: Literal["interrupt"]
    run_id: Identifier | None = None


class Resume(_Command):
    """Send the recorded frames after `after`; `epoch` is the one the client knows, if it knows any.

    Answered by the frames, page by page, and `resumed` after each page; the client sends `resume` again while `more` is
    true. Whoever resumes also acknowledges.
    """

    type: Literal["resume"]
    after: Annotated[int, Field(ge=0, le=2**53)]
    epoch: Annotated[str, Field(max_length=64)] | None = None


class Ack(_Command):
    """The client has handled `frames` frames since it connected, all kinds counted."""

    type: Literal["ack"]
    frames: Annotated[int, Field(ge=0, le=2**53)]


class Remove(_Command):
    """Take a queued message back before it runs."""

    type: Literal["remove"]
    run_id: Identifier


class ReadMarks(_Command):
    """Send what the user has marked in this session; answered by one or more frames `marks`."""

    type: Literal["read_marks"]


class _Marking(_Command):
    """Answered by `marked` once it is recorded, under its `client_id`; sending it again does no harm."""

    client_id: Identifier | None = None


class Feedback(_Marking):
    """What the user thinks of a run's answer, in place of what there was; without a thumb there is none any more."""

    type: Literal["feedback"]
    run_id: Identifier
    thumb: Literal["up", "down"] | None = None
    comment: Annotated[str, Field(max_length=MAX_COMMENT)] = ""


class Private(_Marking):
    """Whether the user has marked the session private."""

    type: Literal["private"]
    is_private: bool


Command = Chat | Ping | Interrupt | Resume | Ack | Remove | ReadMarks | Feedback | Private
_COMMANDS: dict[str, TypeAdapter[Any]] = {
    "chat": TypeAdapter(Chat),
    "ping": TypeAdapter(Ping),
    "interrupt": TypeAdapter(Interrupt),
    "resume": TypeAdapter(Resume),
    "ack": TypeAdapter(Ack),
    "remove": TypeAdapter(Remove),
    "read_marks": TypeAdapter(ReadMarks),
    "feedback": TypeAdapter(Feedback),
    "private": TypeAdapter(Private),
}


def id_of(command: Command | None) -> str | None:
    """The `client_id` under which a command is refused, where it has one."""
    match command:
        case Chat():
            return command.message_id
        case Feedback() | Private():
            return command.client_id
        case _:
            return None


def parse(text: str | None, binary: bytes | None = None) -> Command:
    """Read one frame from a browser. Raises `Refused` for anything that is not a command in full."""
    if text is None:
        raise Refused(Code.BINARY, "Binary frames are not understood; send JSON as text.")
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_FRAME_BYTES:
        raise Refused(Code.TOO_LARGE, f"The frame has {size} bytes; at most {MAX_FRAME_BYTES} are taken.")
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise Refused(Code.TOO_DEEP, f"The frame is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        raise Refused(Code.NOT_JSON, f"The frame is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Refused(Code.NOT_AN_OBJECT, 'A frame is a JSON object with a "type".')
    _check(value)
    kind = value.get("type")
    adapter = _COMMANDS.get(kind) if isinstance(kind, str) else None
    if adapter is None:
        raise Refused(Code.UNKNOWN_TYPE, f'"type" must be one of: {", ".join(_COMMANDS)}.')
    try:
        command: Command = adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(Code.BAD_FIELD, f'Field "{where}" of "{kind}": {first["msg"]}.') from None
    return command


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check(value: Any) -> None:
    """Refuse what JSON allows and a database or another client does not: deep nesting, NUL, lone surrogates."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str):
                if "\x00" in item or (not item.isascii() and not _is_utf8(item)):
                    raise Refused(Code.BAD_TEXT, "Text must be valid Unicode without NUL and lone surrogates.")
            elif isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
        if not below:
            return
        level = below
    raise Refused(Code.TOO_DEEP, f"The frame is nested deeper than {MAX_DEPTH} levels.")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- frames: server to browser ----------------------------------------------------------------------------------------


def encode(kind: str, data: dict[str, Any], **top: Any) -> str:
    """One frame as text. `top` holds what stands beside `type` and `data`: `seq`, `run_id`."""
    return json.dumps({"type": kind, "data": data, **top}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def error(code: Code | str, message: str, **more: Any) -> str:
    """A refused frame, or a run that failed (then with `run_id`)."""
    return encode("error", {"message": message, "code": str(code), **more})


def connected(
    *,
    session_id: str,
    agent_name: str,
    head: int,
    epoch: str,
    active_run: str | None,
    site_notices: Sequence[dict[str, str]] = (),
) -> str:
    """The first frame of every socket. `head` is the `seq` of the last recorded event, 0 for none; `site_notices` as in the frame
    of that name.
    """
    return encode(
        "connected",
        {
            "session_id": session_id,
            "agent_name": agent_name,
            "message": f"Connected to {agent_name}.",
            "head": head,
            "epoch": epoch,
            "active_run": active_run,
            "site_notices": list(site_notices),
            "protocol": VERSION,
        },
    )


def going_away(*, spread: float) -> str:
    """The server ends, and closes this socket with 1012: come back at a moment drawn from the next `spread` seconds."""
    return encode("going_away", {"spread": spread})


def pong(timestamp: float | str | None, *, head: int) -> str:
    return encode("pong", {"timestamp": timestamp, "head": head})


def accepted(*, client_id: str, run_id: str, state: str, duplicate: bool) -> str:
    """The message is recorded. `duplicate` says that it was recorded earlier already."""
    return encode("accepted", {"client_id": client_id, "state": state, "duplicate": duplicate}, run_id=run_id)


def refused(why: Refused, *, client_id: str | None) -> str:
    """A frame that is not taken; for a message with its `client_id`, so that the outbox can say which, and where it passes
    by itself with `retry_after`, in whole seconds.
    """
    more = {"client_id": client_id, "retry_after": why.retry_after}
    return error(why.code, why.message, **{name: value for name, value in more.items() if value is not None})


def interrupted(*, run_id: str | None) -> str:
    """The active run has ended; `run_id` is null where none was active."""
    message = "Stopped." if run_id else "Nothing was running."
    return encode("interrupted", {"message": message}, run_id=run_id)


def resumed(*, through: int, head: int, more: bool, epoch: str) -> str:
    """The end of a page of recorded frames, which reach to `through`; `more` says that the client must resume again."""
    return encode("resumed", {"through": through, "head": head, "more": more, "epoch": epoch})


def reset(*, epoch: str, head: int) -> str:
    """What the client has is void: forget it all; everything follows from `seq` 1."""
    return encode("reset", {"epoch": epoch, "head": head})


def marks(*, is_private: bool, feedback: Sequence[dict[str, str | None]], is_all: bool) -> str:
    """What the user has marked. `feedback` has `run_id`, `thumb` ("up", "down", or null where there is none any more) and
    `comment`. With `is_all` what the client had is void; what else there is follows in frames without.
    """
    return encode("marks", {"is_private": is_private, "feedback": list(feedback), "is_all": is_all})


def marked(*, client_id: str | None) -> str:
    """A `feedback` or `private` is recorded."""
    return encode("marked", {"client_id": client_id})


def site_notices(notices: Sequence[dict[str, str]]) -> str:
    """What the operators have to say to all users now, in place of what they said before: `id`, `level` (info or warning) and
    `text` of each.
    """
    return encode("site_notices", {"notices": list(notices)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a draft. `offset` counts UTF-16 code units, as JavaScript's strings do."""

    run_id: str
    attempt: int
    call: int
    step: int
    type: str
    iteration: int
    offset: int
    text: str
    discarded: bool = False


def reasoning_delta(piece: Piece) -> str:
    """Text for the draft of `step`. A later `attempt` or `call` voids the drafts of the earlier ones."""
    data: dict[str, Any] = {
        "attempt": piece.attempt,
        "call": piece.call,
        "step": piece.step,
        "type": piece.type,
        "iteration": piece.iteration,
        "offset": piece.offset,
        "content": piece.text,
    }
    if piece.discarded:
        data["discarded"] = True
    return encode("reasoning_delta", data, run_id=piece.run_id)


# --- recorded frames: one event each ----------------------------------------------------------------------------------


def message(
    *,
    seq: int,
    run_id: str,
    client_id: str,
    content: str,
    agent: str,
    enable_reasoning: bool,
    timestamp: float,
    by: str = "",
) -> str:
    """A user's message was accepted. Its run is queued until `reasoning_start`; `timestamp` is in seconds since the
    epoch. `by` is "operator" where not the user asked it again.
    """
    data = {
        "client_id": client_id,
        "content": content,
        "agent": agent,
        "enable_reasoning": enable_reasoning,
        "timestamp": timestamp,
    }
    if by:
        data["by"] = by
    return encode("message", data, seq=seq, run_id=run_id)


def reasoning_start(
    *,
    seq: int,
    run_id: str,
    attempt: int,
    agent: str,
    model: str,
    reason: str,
    message: str,
    enable_reasoning: bool,
    timestamp: float,
) -> str:
    """A run, or a later attempt at it, begins; the drafts of earlier attempts are void. For a later one, `reason` says what
    became of the process before: `lost`, `handed_over`, or `taken_over`, by an operator.
    """
    data = {
        "agent": agent,
        "message": message,
        "enable_reasoning": enable_reasoning,
        "model": model,
        "attempt": attempt,
        "timestamp": timestamp,
    }
    if reason:
        data["reason"] = reason
    return encode("reasoning_start", data, seq=seq, run_id=run_id)


def reasoning_step(*, seq: int, run_id: str, data: dict[str, Any]) -> str:
    """A whole step. `data`: type, content, iteration, timestamp, step, attempt, and where there is one: tool_name,
    call_id, arguments, is_error, is_partial, reasoning, duration (s), usage {input_tokens, output_tokens}, code.
    """
    return encode("reasoning_step", data, seq=seq, run_id=run_id)


def response(*, seq: int, run_id: str, data: dict[str, Any]) -> str:
    """The whole answer of a run that shows no reasoning; `data` as in `reasoning_step`."""
    return encode("response", data, seq=seq, run_id=run_id)


def quiet_step(*, seq: int, run_id: str, step: int, step_type: str, iteration: int) -> str:
    """A step of a run that shows no reasoning was recorded: its place in the order, without its content."""
    return encode("quiet_step", {"step": step, "type": step_type, "iteration": iteration}, seq=seq, run_id=run_id)


def run_failed(*, run_id: str, code: str, message: str) -> str:
    """For clients that know only the first table; goes just before the failed run's `reasoning_complete`, has no `seq`."""
    return encode("error", {"message": message, "code": code}, run_id=run_id)


def reasoning_complete(*, seq: int, run_id: str, data: dict[str, Any]) -> str:
    """A run has ended. `data`: state (completed, failed, stopped), timestamp, model as it named itself, duration (s), usage
    {input_tokens, output_tokens, reasoning_tokens}, for a failed run code and message, and `by` where an "operator" stopped it.
    """
    return encode("reasoning_complete", data, seq=seq, run_id=run_id)


def message_removed(*, seq: int, run_id: str, timestamp: float, by: str = "") -> str:
    """A queued message was taken back, or the queue was stopped, before it ran; `by` as in `reasoning_complete`."""
    return encode("message_removed", {"timestamp": timestamp} | ({"by": by} if by else {}), seq=seq, run_id=run_id)


def for_page() -> dict[str, Any]:
    """What the browser's code must know of this file, handed to it with the page."""
    return {
        "version": VERSION,
        "maxFrameBytes": MAX_FRAME_BYTES,
        "maxComment": MAX_COMMENT,
        "close": {code.name: int(code) for code in Close},
        "comeBackBelow": 4500,
    }
