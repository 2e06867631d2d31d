"""The roll-up of tools: how often each run called which, and how often that failed. Whoever writes steps without `chat.events`,
as an import does, calls `rebuild` for their runs afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from agents.steps import Step, StepType
from chat.models import ChatSession, Event, Run, ToolCount

CALL = Q(step_type=StepType.TOOL_USE)
ERROR = Q(step_type=StepType.TOOL_RESULT, data__is_error=True)
AT_ONCE = 2000


def add(run: Run, steps: Sequence[Step]) -> None:
    """Count steps that are being recorded. Must be called in a transaction that holds the run's session."""
    calls = Counter(step.tool_name for step in steps if step.type is StepType.TOOL_USE)
    errors = Counter(step.tool_name for step in steps if step.type is StepType.TOOL_RESULT and step.is_error)
    if not calls and not errors:
        return
    Run.objects.filter(pk=run.pk).update(
        tool_calls=F("tool_calls") + calls.total(), tool_errors=F("tool_errors") + errors.total()
    )
    for name in calls | errors:
        counted = ToolCount.objects.filter(run=run, tool_name=name)
        if not counted.update(calls=F("calls") + calls[name], errors=F("errors") + errors[name]):
            ToolCount.objects.create(run=run, tool_name=name, calls=calls[name], errors=errors[name])


def rebuild(runs: Iterable[UUID] | None = None, *, errors_are_known: bool = False) -> int:
    """Count anew from the steps, for these runs or for all; returns how many runs it was. Runs that are under way are counted
    right, too: each batch holds its sessions. `errors_are_known` leaves the runs' own `tool_errors` as they are.
    """
    ids = iter(Run.objects.values_list("pk", flat=True).order_by("pk") if runs is None else runs)
    done = 0
    while some := list(islice(ids, AT_ONCE)):
        with transaction.atomic():
            _rebuild(Run.objects.filter(pk__in=some).order_by(), ["calls"] if errors_are_known else ["calls", "errors"])
        done += len(some)
    return done


def _rebuild(runs: QuerySet[Run], names: Sequence[str]) -> None:
    # Whoever appends to a session holds its row.
    list(ChatSession.objects.filter(pk__in=runs.values("session")).order_by("pk").select_for_update().values("pk"))
    ToolCount.objects.filter(run__in=runs).delete()
    counted = (
        Event.objects.filter(CALL | ERROR, run__in=runs)
        .values("run_id", "tool_name")
        .annotate(calls=Count("pk", filter=CALL), errors=Count("pk", filter=ERROR))
        .order_by()
    )
    ToolCount.objects.bulk_create((ToolCount(**row) for row in counted), batch_size=AT_ONCE)
    mine = ToolCount.objects.filter(run=OuterRef("pk")).order_by().values("run")
    runs.update(
        **{
            f"tool_{name}": Coalesce(
                Subquery(mine.annotate(sum=Sum(name)).values("sum"), output_field=IntegerField()), 0
            )
            for name in names
        }
    )
