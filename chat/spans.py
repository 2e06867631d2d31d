"""The spans of an attempt at a run, made from its recorded steps and their durations. They hold ids, names and numbers, no text.

All attempts at a run are in one trace, whoever makes them: its id follows from the run's. OpenTelemetry's own variables say where
spans go, how many are kept and how the site is called. Imported by `chat.traces` alone, when the first attempt has ended.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.util.types import AttributeValue

from agents.steps import StepType
from chat import log_context
from chat.metrics import known_tool
from chat.models import Event, EventType, Run

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNFINISHED = "unfinished"
"""The state of an attempt that did not end its run: another goes on with it."""


def trace_id(run_id: str) -> int:
    """The trace of a run. A hash: the bits of a UUID that are always the same would upset whoever samples by them."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:16])


class RunIds(RandomIdGenerator):
    """Gives the next root span the trace that was set."""

    trace = 0

    def generate_trace_id(self) -> int:
        return self.trace


class Spans:
    """Makes spans and hands them to a thread of OpenTelemetry's, which sends them in batches and drops what piles up."""

    def __init__(self) -> None:
        self._ids = RunIds()
        named = Resource({"service.name": "glassbox", "service.instance.id": log_context.process()})
        self._provider = TracerProvider(
            resource=named.merge(OTELResourceDetector().detect()),
            id_generator=self._ids,
            # It would wait for half a minute where the collector hangs.
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("glassbox")

    def make(self, run_id: str, attempt: int) -> None:
        """Make the spans of this attempt: one for it as a whole, and below it one for each call of a model or a tool."""
        run = Run.objects.select_related("session").get(pk=run_id)
        events = list(run.events.filter(attempt=attempt).exclude(type=EventType.MESSAGE).order_by("seq"))
        if not events:
            return
        end = events[-1] if events[-1].type == EventType.RUN_END else None
        model = str(events[0].data.get("model", run.model))
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": run.agent,
            "gen_ai.conversation.id": run.session.public_id,
            "gen_ai.request.model": model,
            "gen_ai.usage.input_tokens": sum(event.input_tokens or 0 for event in events),
            "gen_ai.usage.output_tokens": sum(event.output_tokens or 0 for event in events),
            "glassbox.run.id": run_id,
            "glassbox.run.attempt": attempt,
            "glassbox.run.state": UNFINISHED if end is None else end.data["state"],
        }
        self._ids.trace = trace_id(run_id)
        root = self._tracer.start_span(
            "run", context=Context(), attributes=attributes, start_time=_nanoseconds(events[0].created_at)
        )
        within = set_span_in_context(root, Context())
        for event in events:
            if event.step_type == StepType.TOOL_RESULT:
                self._tool_call(event, within)
            elif event.type == EventType.STEP and event.duration is not None:
                # What a call of the model took stands on the last of its steps.
                self._model_call(event, within, model=model)
        if end is not None and end.data.get("code"):
            _failed(root, end.data["code"])
        root.end(_nanoseconds(events[-1].created_at))

    def _model_call(self, event: Event, within: Context, *, model: str) -> None:
        attributes: dict[str, AttributeValue] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": model}
        if event.input_tokens is not None and event.output_tokens is not None:
            attributes |= {
                "gen_ai.usage.input_tokens": event.input_tokens,
                "gen_ai.usage.output_tokens": event.output_tokens,
            }
        self._begin(f"chat {model}", event, within, kind=SpanKind.CLIENT, attributes=attributes).end(
            _nanoseconds(event.created_at)
        )

    def _tool_call(self, event: Event, within: Context) -> None:
        # The name and the id in the call are what a model wrote.
        tool = known_tool(event.tool_name)
        attributes: dict[str, AttributeValue] = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        span = self._begin(f"execute_tool {tool}", event, within, kind=SpanKind.INTERNAL, attributes=attributes)
        if event.data.get("is_error"):
            _failed(span, event.data.get("code") or "tool_error")
        span.end(_nanoseconds(event.created_at))

    def _begin(
        self, name: str, event: Event, within: Context, *, kind: SpanKind, attributes: dict[str, AttributeValue]
    ) -> Span:
        began = event.created_at - timedelta(seconds=event.duration or 0)
        numbers: dict[str, AttributeValue] = {
            "glassbox.iteration": event.iteration or 0,
            "glassbox.step": event.step or 0,
        }
        return self._tracer.start_span(
            name, context=within, kind=kind, attributes=attributes | numbers, start_time=_nanoseconds(began)
        )

    def send_the_rest(self) -> None:
        """Send what waits. May take as long as the collector hangs, half a minute at most."""
        self._provider.shutdown()


def _failed(span: Span, code: str) -> None:
    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR))


def _nanoseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000
