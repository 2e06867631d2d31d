"""The action “Take out…” of the lists of sessions, runs and events."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from chat.models import Event
from chat.transcripts import exporting
from chat.transcripts.forms import FORMS
from chat.transcripts.selection import MOST_RUNS


@admin.action(description="Take out…", permissions=["take_out"])
def take_out(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponseBase | None:
    """Ask for the format; when it is known, fix the selection and go to its page."""
    ids = exporting.selected(rows, request.user)
    if not ids:
        model_admin.message_user(request, "There is no run in this selection that you may take out.", messages.WARNING)
        return None
    has_more = len(ids) > MOST_RUNS
    count = min(len(ids), MOST_RUNS)
    form = request.POST.get("format")
    is_all = request.POST.get("select_across") == "1"
    what = _described(model_admin, request, rows, is_all=is_all)
    if form in FORMS:
        bound = f"the first {count} of more runs" if has_more else f"{count} runs"
        export = exporting.begin(request.user, ids, form=form, described=f"{what}: {bound}")
        return redirect("admin:chat_export_change", export.pk)
    context = {
        **admin.site.each_context(request),
        "title": "Take out",
        "opts": model_admin.opts,
        "what": what,
        "count": count,
        "has_more": has_more,
        "whole_runs": rows.model is Event,
        "forms": FORMS.values(),
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "checkbox": ACTION_CHECKBOX_NAME,
        "is_all": is_all,
    }
    return TemplateResponse(request, "admin/chat/export/choose.html", context)


def _described(model_admin: Any, request: HttpRequest, rows: QuerySet[Any], *, is_all: bool) -> str:
    """The selection in words, with the filters of the list where it is all that they let through."""
    if not is_all:
        count = rows.count()
        return (
            f"{count} selected {model_admin.opts.verbose_name if count == 1 else model_admin.opts.verbose_name_plural}"
        )
    # Not counted: they may be a million, and the list has counted no further than its own bound.
    filters = ", ".join(f"{name}={value}" for name, value in request.GET.items())
    return f"All {model_admin.opts.verbose_name_plural}" + (f" with {filters}" if filters else "")
