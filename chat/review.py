"""A session as those read it who answer for it: what it took, step by step, and what its models were given.

All of it comes in pages, after a `seq` or a place, so that a long history never comes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from agents.registry import AGENTS
from agents.steps import StepType
from chat import events, frames, runs
from chat.models import ACTIVE, ChatSession, Event, EventType, Feedback, Run, RunState

FACTS = 500
FRAMES = 100
MESSAGES = 20
# Of one page, in characters; the first item comes whatever its length.
PAGE_CHARACTERS = 256 * 1024


def header(session: ChatSession) -> dict[str, str]:
    """What a session is and took, in words, each under its name."""
    counted = Run.objects.filter(session=session).aggregate(
        runs=Count("pk"),
        under_way=Count("pk", filter=Q(state__in=ACTIVE)),
        queued=Count("pk", filter=Q(state=RunState.QUEUED)),
        failed=Count("pk", filter=Q(state=RunState.FAILED)),
        read=Sum("input_tokens"),
        written=Sum("output_tokens"),
        cost=Sum("cost"),
        up=Count("feedback", filter=Q(feedback__thumb=Feedback.UP)),
        down=Count("feedback", filter=Q(feedback__thumb=Feedback.DOWN)),
    )
    latest = Run.objects.filter(session=session).exclude(model="").order_by("-seq").values_list("model", flat=True)
    states = [(counted["under_way"], "running"), (counted["queued"], "queued"), (counted["failed"], "failed")]
    named = [f"{number} {word}" for number, word in states if number]
    return {
        "user": session.owner.get_username(),
        "agent": agent_title(session.agent),
        "model": latest.first() or "none yet",
        "state": ", ".join([f"{counted['runs']} run{'' if counted['runs'] == 1 else 's'}", *named]),
        "tokens": f"{counted['read'] or 0} read, {counted['written'] or 0} written",
        "cost": cost_text(counted["cost"]),
        "private": "yes" if session.is_private else "no",
        "feedback": f"{counted['up']} up, {counted['down']} down",
    }


def agent_title(name: str) -> str:
    return AGENTS[name].title if name in AGENTS else name


def cost_text(cost: Decimal | None) -> str:
    """US dollars, to the digit that says something; a model without a price has none."""
    if cost is None:
        return "no price known"
    return f"${cost:.2f}" if cost >= 1 else f"${cost.quantize(Decimal('0.000001')).normalize():f}"


@dataclass(frozen=True, slots=True)
class Page:
    """Items of a whole that is asked for in pages; `through` is where the next one begins, if there is `more`."""

    items: list[Any]
    through: int
    more: bool


# What `facts` asks of an event: nothing of what was said, which may be long.
_ASKED = (
    "seq",
    "run_id",
    "type",
    "step_type",
    "tool_name",
    "iteration",
    "created_at",
    "duration",
    "input_tokens",
    "output_tokens",
    "cost",
    "data__is_error",
)


def facts(session: ChatSession, after: int) -> tuple[Page, dict[str, dict[str, Any]]]:
    """What each step after `after` took, whether its user saw it or not, and the runs that are told of, as they are now, each
    with the `seq` of those of its events that are no steps.
    """
    rows = list(Event.objects.filter(session=session, seq__gt=after).order_by("seq").values_list(*_ASKED)[: FACTS + 1])
    page = rows[:FACTS]
    steps = [_fact(row) for row in page if row[2] == EventType.STEP]
    told_of = Run.objects.filter(pk__in={row[1] for row in page}).select_related("feedback")
    runs = {str(run.pk): _run_facts(run) for run in told_of}
    for row in page:
        if row[2] != EventType.STEP:
            runs[str(row[1])]["others"].append(row[0])
    through = page[-1][0] if page else after
    return Page(steps, through, len(rows) > FACTS), runs


def _fact(row: tuple[Any, ...]) -> dict[str, Any]:
    seq, run_id, _, step_type, tool, iteration, at, duration, read, written, cost, is_error = row
    return {
        "seq": seq,
        "run": str(run_id),
        "type": step_type,
        "tool": tool,
        "iteration": iteration,
        "at": at.timestamp(),
        "duration": duration,
        "tokens": None if read is None else [read, written or 0],
        "cost": None if cost is None else float(cost),
        "failed": bool(is_error) or step_type == StepType.ERROR,
    }


def _run_facts(run: Run) -> dict[str, Any]:
    feedback = getattr(run, "feedback", None)
    return {
        "others": [],
        "message": run.message[:200],
        "state": run.state,
        "started": None if run.started_at is None else run.started_at.timestamp(),
        "ended": None if run.ended_at is None else run.ended_at.timestamp(),
        "shows": run.enable_reasoning,
        "tokens": [run.input_tokens, run.output_tokens],
        "cost": cost_text(run.cost),
        "firstToken": run.first_token_seconds,
        "toolErrors": run.tool_errors,
        "thumb": feedback.thumb if feedback else 0,
        "comment": feedback.comment if feedback else "",
    }


def sent(run: Run, after: int) -> Page:
    """The frames of a run's events as they were sent, to the letter."""
    return _frames(run, after, steps_alone=False)


def steps(run: Run, after: int) -> Page:
    """The frames of a run's steps with all that is recorded, those included that its user did not see."""
    return _frames(run, after, steps_alone=True)


def _frames(run: Run, after: int, *, steps_alone: bool) -> Page:
    rows = Event.objects.filter(run=run, seq__gt=after).select_related("run").order_by("seq")
    if steps_alone:
        rows = rows.filter(type=EventType.STEP)
    texts: list[str] = []
    size, through, more = 0, after, False
    for number, row in enumerate(rows[: FRAMES + 1]):
        made = [frames.whole_step(row)] if steps_alone else frames.of(row)
        size += sum(map(len, made))
        if number == FRAMES or (number and size > PAGE_CHARACTERS):
            more = True
            break
        texts += made
        through = row.seq
    return Page(texts, through, more)


def given(run: Run, after: int) -> Page:
    """What the run's model was given, from place `after` on: what its agent is told, the conversation, what the run said since."""
    # Not at the top: LangChain takes a second to import, and a web process beside workers does without it.
    from agents.history import Given, given

    recorded = Event.objects.filter(run=run, type=EventType.STEP).order_by("seq")
    said = given(runs.turns_before(run), ask=run.message, steps=[events.step_of(row) for row in recorded])
    told = [Given(role="system", text=AGENTS[run.agent].prompt)] if run.agent in AGENTS else []
    all_of_it = [*told, *said]
    page: list[dict[str, str]] = []
    size = 0
    for message in all_of_it[after : after + MESSAGES]:
        size += len(message.text)
        if page and size > PAGE_CHARACTERS:
            break
        page.append({"role": message.role, "text": message.text})
    through = after + len(page)
    return Page(page, through, through < len(all_of_it))
