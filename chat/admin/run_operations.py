"""What operators do to runs, from the list of runs and from a run's own page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from chat import operations
from chat.admin.operations import PERMISSION, say
from chat.models import Run
from chat.readings import readable_by

# What is done is done one by one, each recorded: so many at a time.
MOST_RUNS = 100


def _operate(model_admin: Any, request: HttpRequest, runs: QuerySet[Run], name: str) -> None:
    chosen = list(runs.filter(session__in=readable_by(request.user)).select_related("session")[: MOST_RUNS + 1])
    if len(chosen) > MOST_RUNS:
        model_admin.message_user(request, f"At most {MOST_RUNS} runs at a time.", messages.ERROR)
        return
    for run in chosen:
        say(request, operations.operate(name, run, by=request.user), about=f"{run}: ")


@admin.action(description="Stop selected runs", permissions=["operate"])
def stop_runs(model_admin: Any, request: HttpRequest, runs: QuerySet[Run]) -> None:
    """Stop each as its user would."""
    _operate(model_admin, request, runs, "stop")


@admin.action(description="Retry selected runs", permissions=["operate"])
def retry_runs(model_admin: Any, request: HttpRequest, runs: QuerySet[Run]) -> None:
    """Ask each again, as a new run."""
    _operate(model_admin, request, runs, "retry")


@admin.action(description="Take selected runs over from their workers", permissions=["operate"])
def take_over_runs(model_admin: Any, request: HttpRequest, runs: QuerySet[Run]) -> None:
    """Let each go on on another worker."""
    _operate(model_admin, request, runs, "take-over")


OPERATIONS = (stop_runs, retry_runs, take_over_runs)


class Operated:
    """For the admin of runs: who may operate, and the buttons on a run's page."""

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        run = kwargs.get("obj")
        names = operations.offered(run) if run is not None and self.has_operate_permission(request) else []
        context["operations"] = [{"name": name, "label": operations.ACTIONS[name].label} for name in names]
        return super().render_change_form(request, context, *args, **kwargs)  # type: ignore[misc] # of ModelAdmin
