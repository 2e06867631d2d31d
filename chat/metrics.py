"""What is counted, for Prometheus: every metric of ours, and the plain functions by which the rest of `chat` counts.

Labels take few values, whatever a model makes up: a tool that there is not, or a model that is not the one in the
settings, counts as `other`. Of text nothing is kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterator

from django.conf import settings
from django.db import connection
from django.db.models import Count
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from agents.model_choice import describe
from agents.steps import FailureCode, Step, StepType
from agents.tools import TOOLS
from chat.models import ACTIVE, Run, RunState

logger = logging.getLogger(__name__)

OTHER = "other"
NOT_ENDED = (RunState.QUEUED, *ACTIVE)

# When each series began is of no use to us, and would double what is scraped.
disable_created_metrics()  # type: ignore[no-untyped-call] # it has no return type

# Close together around what is promised: pick-up p99 within 0.1 s, a delta's p99 within 0.15 s.
PICK_UP_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELTA_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0)
FIRST_TOKEN_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0)

_sockets = Gauge("glassbox_sockets_open", "Sockets that are open in this process.")
_driven = Gauge("glassbox_runs_driven", "Runs that this process drives now.")
_steps = Counter("glassbox_steps_recorded", "Steps recorded by this process.", ["type"])
_ended = Counter("glassbox_runs_ended", "Runs ended by this process, and why where they failed.", ["outcome", "code"])
_pick_up = Histogram(
    "glassbox_pick_up_seconds",
    "From a message recorded, or the run before it ended, to its run started; the database's clock.",
    buckets=PICK_UP_BUCKETS,
)
_first_token = Histogram(
    "glassbox_time_to_first_token_seconds",
    "From the start of a run to the first piece of text of its model.",
    buckets=FIRST_TOKEN_BUCKETS,
)
_delta_latency = Histogram(
    "glassbox_delta_latency_seconds",
    "From the oldest token in a frame to the frame put on a socket. Between machines their clocks must agree;"
    " what would be negative counts as 0.",
    buckets=DELTA_BUCKETS,
)
_dropped = Counter(
    "glassbox_announcements_dropped",
    "Announcements that the channel layer refused or was too slow for. What it loses without a word is not among them.",
)
_gaps = Counter(
    "glassbox_gaps_healed", "Times that a socket's feed read from the log what no announcement had brought in order."
)
_retried = Counter("glassbox_writes_retried", "Writes of runs tried again because the database was away.")
_taken_over = Counter("glassbox_runs_taken_over", "Runs that had lost their process and went on in this one.")
_handed_over = Counter("glassbox_runs_handed_over", "Runs that this process left to another one when it stopped.")
_tool_calls = Counter("glassbox_tool_calls", "Calls of tools.", ["tool"])
_tool_failures = Counter("glassbox_tool_failures", "Calls of tools that failed.", ["tool"])
_model_calls = Counter("glassbox_model_calls", "Answers of models.", ["model"])


# --- sockets and groups -----------------------------------------------------------------------------------------------


def socket_opened() -> None:
    _sockets.inc()


def socket_closed() -> None:
    _sockets.dec()


def delta_sent(at: float) -> None:
    """A delta was put on a socket; `at` is the wall clock's time when its oldest token came, in seconds."""
    _delta_latency.observe(max(0.0, time.time() - at))


def announcement_dropped() -> None:
    _dropped.inc()


def gap_healed() -> None:
    _gaps.inc()


# --- runs -------------------------------------------------------------------------------------------------------------


def driving_began() -> None:
    _driven.inc()


def driving_ended() -> None:
    _driven.dec()


def run_started(waited: float) -> None:
    """A run's first attempt began, so many seconds after nothing stood before it any more."""
    _pick_up.observe(max(0.0, waited))


def first_token(seconds: float) -> None:
    """The model's first text came so many seconds after the run began."""
    _first_token.observe(seconds)


def step_recorded(step: Step, *, model: str) -> None:
    """A step is in the log; `model` is that of its run."""
    _steps.labels(step.type).inc()
    match step.type:
        case StepType.TOOL_USE:
            _tool_calls.labels(known_tool(step.tool_name)).inc()
        case StepType.TOOL_RESULT:
            if step.is_error:
                _tool_failures.labels(known_tool(step.tool_name)).inc()
        case StepType.THOUGHT | StepType.FINAL_ANSWER | StepType.ERROR:
            pass
    # What a call of the model cost stands on the last of its steps.
    if step.type is not StepType.TOOL_RESULT and step.duration is not None:
        _model_calls.labels(_bounded(model, {describe(settings.MODEL)})).inc()


def run_ended(outcome: str, code: str) -> None:
    """A run has ended; `code` is a `FailureCode`, or empty where it did not fail."""
    _ended.labels(outcome, _bounded(code, {"", *FailureCode})).inc()


def run_taken_over() -> None:
    _taken_over.inc()


def run_handed_over() -> None:
    _handed_over.inc()


def write_retried() -> None:
    _retried.inc()


def known_tool(name: str) -> str:
    """The tool's name where there is one of that name, else `other`: names of tools come from models."""
    return _bounded(name, TOOLS)


def _bounded(value: str, known: Collection[str]) -> str:
    return value if value in known else OTHER


# --- read from the database -------------------------------------------------------------------------------------------


class Runs(Collector):
    """How many runs have not ended, by state, asked of the database at each scrape.

    It is asked on a thread of its own, by one scrape at a time, and waited for `READY_SECONDS`: a database that hangs costs
    the scrape that time and these series, and no more than one thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._question: Question | None = None

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Called when it is registered, in place of a first scrape."""
        yield _runs_by_state()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            if self._question is None or not self._question.is_alive():
                self._question = Question()
                self._question.start()
            question = self._question
        question.join(settings.READY_SECONDS)
        if question.found is not None:
            family = _runs_by_state()
            for state in NOT_ENDED:
                family.add_metric([state], question.found.get(state, 0))
            yield family


class Question(threading.Thread):
    """Counts the runs; `found` stays None where the database has not answered, or with an error."""

    def __init__(self) -> None:
        # The process may end without its answer.
        super().__init__(name="metrics-database", daemon=True)
        self.found: dict[str, int] | None = None

    def run(self) -> None:
        try:
            self.found = count_runs()
        except Exception as error:  # noqa: BLE001 - each driver raises its own; a scrape goes on without these series
            logger.warning("The runs could not be counted: %s", type(error).__name__)
        finally:
            # This thread is no request's; nobody else would close its connection.
            connection.close()


def count_runs() -> dict[str, int]:
    """How many runs there are in each state that is not an end, by an index: ended ones are too many to count."""
    counted = Run.objects.filter(state__in=NOT_ENDED).order_by().values_list("state").annotate(Count("pk"))
    return dict(counted)


def _runs_by_state() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "glassbox_runs",
        "Runs that have not ended, by state, in the whole site: each process that is asked says the same.",
        labels=["state"],
    )


REGISTRY.register(Runs())
