"""The page of operations: what waits, runs and fails, now, and what can be done about a run."""

from __future__ import annotations

import uuid

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from chat import admin_site, operations
from chat.admin import operation_tables
from chat.models import Run
from chat.readings import readable_by

PERMISSION = "chat.operate_run"
# Between two looks of an open page.
REFRESH_SECONDS = 3


@admin_site.page("operations/", name="operations", permission=PERMISSION, title="Operations")
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """How things stand, as tables; the page's script asks for them again and again."""
    context = {
        **admin.site.each_context(request),
        "title": "Operations",
        "tables": operation_tables.all_for(request.user),
        "refresh_seconds": REFRESH_SECONDS,
        "actions": {name: action.label for name, action in operations.ACTIONS.items()},
    }
    return render(request, "admin/operations.html", context)


@admin_site.page("operations/now/", name="operations_now", permission=PERMISSION)
@require_safe
def now(request: HttpRequest) -> JsonResponse:
    """The same tables for the script of the page."""
    tables = [table.as_json() for table in operation_tables.all_for(request.user)]
    return JsonResponse({"tables": tables}, headers={"Cache-Control": "no-store"})


@admin_site.page("operations/runs/<uuid:run_id>/<slug:name>/", name="operate_run", permission=PERMISSION)
@require_POST
def operate_run(request: HttpRequest, run_id: uuid.UUID, name: str) -> HttpResponse:
    """Do one of `operations.ACTIONS` to a run, and go back to where the button was."""
    if name not in operations.ACTIONS:
        raise Http404
    runs = Run.objects.filter(session__in=readable_by(request.user)).select_related("session")
    outcome = operations.operate(name, get_object_or_404(runs, pk=run_id), by=request.user)
    say(request, outcome)
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if is_ours else reverse("admin:operations"))


def say(request: HttpRequest, outcome: operations.Outcome, about: str = "") -> None:
    """Tell the operator on the next page what came of it."""
    level = messages.SUCCESS if outcome.done else messages.WARNING
    messages.add_message(request, level, f"{about}{outcome.sentence}")
