"""The frames that tell of a recorded event. They are made anew each time: the log holds facts, not frames."""

from __future__ import annotations

from typing import Any

from agents.steps import StepType
from chat import protocol
from chat.models import Event, EventType, RunState


def of(row: Event) -> list[str]:
    """The frames that tell of an event: one with its `seq`, for a failed run's end one without before it."""
    run = row.run
    run_id = str(run.pk)
    timestamp = row.created_at.timestamp()
    match EventType(row.type):
        case EventType.MESSAGE:
            return [
                protocol.message(
                    seq=row.seq,
                    run_id=run_id,
                    client_id=run.client_id,
                    content=row.content,
                    agent=run.agent,
                    enable_reasoning=run.enable_reasoning,
                    timestamp=timestamp,
                    by=row.data.get("by", ""),
                )
            ]
        case EventType.RUN_START:
            return [
                protocol.reasoning_start(
                    seq=row.seq,
                    run_id=run_id,
                    attempt=row.attempt,
                    agent=run.agent,
                    model=row.data["model"],
                    reason=row.data.get("reason", ""),
                    message=run.message,
                    enable_reasoning=run.enable_reasoning,
                    timestamp=timestamp,
                )
            ]
        case EventType.STEP:
            return [_step_frame(row, timestamp)]
        case EventType.RUN_END:
            if not row.data["started"]:
                by = row.data.get("by", "")
                return [protocol.message_removed(seq=row.seq, run_id=run_id, timestamp=timestamp, by=by)]
            data = {key: value for key, value in row.data.items() if key != "started"} | {"timestamp": timestamp}
            end = protocol.reasoning_complete(seq=row.seq, run_id=run_id, data=data)
            if row.data["state"] != RunState.FAILED:
                return [end]
            return [protocol.run_failed(run_id=run_id, code=row.data["code"], message=row.data["message"]), end]


def whole_step(row: Event) -> str:
    """The frame of a step with all that is recorded of it, as it would be had its user asked to see the reasoning."""
    return protocol.reasoning_step(
        seq=row.seq, run_id=str(row.run_id), data=_step_data(row, row.created_at.timestamp())
    )


def _step_frame(row: Event, timestamp: float) -> str:
    run_id = str(row.run_id)
    step, iteration = row.step or 0, row.iteration or 0
    if not row.run.enable_reasoning and row.step_type != StepType.FINAL_ANSWER:
        return protocol.quiet_step(seq=row.seq, run_id=run_id, step=step, step_type=row.step_type, iteration=iteration)
    send = protocol.reasoning_step if row.run.enable_reasoning else protocol.response
    return send(seq=row.seq, run_id=run_id, data=_step_data(row, timestamp))


def _step_data(row: Event, timestamp: float) -> dict[str, Any]:
    data: dict[str, Any] = {
        "type": row.step_type,
        "content": row.content,
        "iteration": row.iteration or 0,
        "timestamp": timestamp,
        "step": row.step or 0,
        "attempt": row.attempt,
        **row.data,
    }
    for name in ("tool_name", "call_id"):
        if getattr(row, name):
            data[name] = getattr(row, name)
    if row.duration is not None:
        data["duration"] = round(row.duration, 3)
    if row.input_tokens is not None:
        data["usage"] = {"input_tokens": row.input_tokens, "output_tokens": row.output_tokens}
    return data
