"""The filters about runs, which all three lists have."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from chat.admin.narrowing import Narrowing, between, choice, number, time_filters, typed
from chat.models import Event, Feedback, RunState

DURATION = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
TOKENS = F("input_tokens") + F("output_tokens")


def state(value: str) -> Q:
    return Q(state=value)


agent = typed("agent", "agent", lambda value: Q(agent=value), about_runs=True, known="known-agents")
model = typed("model", "model", lambda value: Q(model=value), about_runs=True)
tool = typed(
    "tool",
    "tool",
    lambda value: Q(Exists(Event.objects.filter(run_id=OuterRef("pk"), tool_name=value))),
    about_runs=True,
    known="known-tools",
)
run_state = choice(
    "state", "state", {kind.value: (kind.label.capitalize(), state) for kind in RunState}, about_runs=True
)
error = typed("error code", "error", lambda value: Q(error_code=value), about_runs=True)
failed_tools = choice(
    "failed tools",
    "failed_tools",
    {
        "some": ("With failed tools", lambda _: Q(tool_errors__gt=0)),
        "none": ("Without", lambda _: Q(tool_errors=0)),
    },
    about_runs=True,
)
feedback = choice(
    "feedback",
    "feedback",
    {
        "up": ("Thumb up", lambda _: Q(feedback__thumb=Feedback.UP)),
        "down": ("Thumb down", lambda _: Q(feedback__thumb=Feedback.DOWN)),
        "comment": ("With a comment", lambda _: Q(feedback__comment__gt="")),
        "none": ("None", lambda _: Q(~Exists(Feedback.objects.filter(run_id=OuterRef("pk"))))),
    },
    about_runs=True,
)
session_feedback = choice(
    "feedback",
    "feedback",
    {
        **feedback.options,
        "none": ("None", lambda _: Q(~Exists(Feedback.objects.filter(run__session_id=OuterRef("pk"))))),
    },
    about_runs=True,
    about_rows=frozenset({"none"}),
)
duration = between(
    "duration (seconds)",
    "duration",
    number,
    lambda seconds: Q(GreaterThanOrEqual(DURATION, _span(seconds))),
    lambda seconds: Q(LessThanOrEqual(DURATION, _span(seconds))),
    about_runs=True,
)


def tokens_filter(*, about_runs: bool) -> type[Narrowing]:
    """Of runs or, as they have columns of the same names, of steps."""
    return between(
        "tokens",
        "tokens",
        number,
        lambda count: Q(GreaterThanOrEqual(TOKENS, Value(int(count)))),
        lambda count: Q(LessThanOrEqual(TOKENS, Value(int(count)))),
        about_runs=about_runs,
    )


def cost_filter(*, about_runs: bool) -> type[Narrowing]:
    """As above."""
    return between(
        "cost (US$)",
        "cost",
        number,
        lambda dollars: Q(cost__gte=dollars),
        lambda dollars: Q(cost__lte=dollars),
        about_runs=about_runs,
    )


def private_filter(field: str) -> type[Narrowing]:
    return choice(
        "privacy",
        "private",
        {
            "yes": ("Marked private", lambda _: Q(**{field: True})),
            "no": ("Not private", lambda _: Q(**{field: False})),
        },
    )


def user_filter(field: str) -> type[Narrowing]:
    return typed("user", "user", lambda name: Q(**{field: name}))


def filters_of_runs(*, user: str, time: str, feedback: type[Narrowing], private: str) -> list[type[Narrowing]]:
    """The filters of a list whose rows are runs, or have them; `user`, `time` and `private` name fields of a row."""
    return [
        user_filter(user),
        agent,
        model,
        tool,
        run_state,
        error,
        failed_tools,
        *time_filters(time),
        duration,
        tokens_filter(about_runs=True),
        cost_filter(about_runs=True),
        feedback,
        private_filter(private),
    ]


def _span(seconds: float) -> Combinable:
    return Value(timedelta(seconds=min(seconds, 1e9)), output_field=DurationField())
