"""The page that puts two runs side by side."""

from __future__ import annotations

import uuid

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from chat import comparison, readings
from chat.admin_site import page
from chat.models import Reading, Run


@page("chat/run/compare/", name="chat_compare", permission="chat.view_chatsession")
@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """The runs `?left=` and `?right=`; that somebody else's were looked at is recorded."""
    sides = [_run(request, side) for side in ("left", "right")]
    for run in sides:
        readings.record(request.user, [run.session], Reading.How.COMPARED, run_id=run.pk)
    context = admin.site.each_context(request) | {
        "title": "Two runs",
        "sides": [
            {
                "name": name,
                "run": run,
                "transcript": f"{reverse('admin:chat_transcript', args=[run.session_id])}#run-{run.pk}",
                "steps": reverse("admin:chat_transcript_steps", args=[run.session_id, run.pk]),
            }
            for name, run in zip(("left", "right"), sides, strict=True)
        ],
        "compared": comparison.compare(*sides),
        "swapped": reverse("admin:chat_compare", query={"left": sides[1].pk, "right": sides[0].pk}),
    }
    return render(request, "admin/chat/compare.html", context)


def _run(request: HttpRequest, side: str) -> Run:
    """The run that the address names for a side, where its session may be read; else there is none."""
    try:
        pk = uuid.UUID(request.GET.get(side, ""))
    except ValueError:
        raise Http404 from None
    may_read = readings.readable_by(request.user)
    run = Run.objects.filter(session__in=may_read, pk=pk).select_related("session__owner").first()
    if run is None:
        raise Http404
    return run
