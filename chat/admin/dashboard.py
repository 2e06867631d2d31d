"""The dashboard: the numbers of many runs, as plots and as tables."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from chat.admin.dashboard_form import DashboardForm
from chat.admin.panels import PANELS, Panel, Plot, row, tiles
from chat.admin.run_links import chosen_by, runs_address
from chat.admin_site import page
from chat.statistics import query
from chat.statistics.measures import Measures
from chat.statistics.period import Unit
from chat.statistics.query import Dimension, Report

DEFAULTS = {"range": "7d", "by": Dimension.AGENT.value}
# An empty name, as a row of a breakdown: a run that was never begun has no model.
NAMELESS = "(none)"


@page("dashboard/", name="dashboard", title="Dashboard", permission="chat.view_run")
def dashboard(request: HttpRequest) -> HttpResponse:
    """The numbers of the runs that the visitor may read; what the address says wrongly is said, and nothing is counted."""
    form = DashboardForm(DEFAULTS | request.GET.dict(), reader=request.user)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Dashboard",
        "form": form,
        "zone": timezone.get_current_timezone_name(),
    }
    valid = form.is_valid()
    if valid:
        period, by = form.period, form.dimension
        report = query.report(request.user, period, form.selection, by)
        context |= {
            "period": period,
            "last_moment": report.times[-1][0],
            "by": by.value,
            "ways": [(one.value, one is by, _address(form, by=one.value)) for one in Dimension],
            "others": report.group_count - len(report.groups),
            "is_empty": not report.total.runs,
            **_content(form, report, by),
        }
    return render(request, "admin/dashboard.html", context, status=200 if valid else 400)


def _content(form: DashboardForm, report: Report, by: Dimension) -> dict[str, Any]:
    """The tiles and plots."""
    period = form.period
    chosen = chosen_by(form.selection, form.cleaned_data["user"])

    def of_time(panel: Panel, begin: datetime, end: datetime, measures: Measures) -> Any:
        return row(panel, _moment(begin, period.unit), measures, lambda more: runs_address(begin, end, chosen, more))

    def of_group(panel: Panel, key: str, measures: Measures) -> Any:
        mine = chosen | {by: key}
        return row(
            panel,
            key or NAMELESS,
            measures,
            lambda more: runs_address(period.start, period.end, mine, more),
            _address(form, **{by.value: key}) if key else None,
        )

    return {
        "tiles": tiles(report.total, lambda more: runs_address(period.start, period.end, chosen, more)),
        "over_time": [
            Plot(panel, period.unit.value, [of_time(panel, *one) for one in report.times]) for panel in PANELS
        ],
        "by_group": [Plot(panel, by.value, [of_group(panel, *one) for one in report.groups]) for panel in PANELS],
    }


def _moment(moment: datetime, unit: Unit) -> str:
    return date_format(timezone.localtime(moment), "j M, H:i" if unit is Unit.HOUR else "j M Y")


def _address(form: DashboardForm, **changed: str) -> str:
    """This page with something else in its address."""
    said = {name: form.data[name] for name in form.fields if form.data.get(name)}
    return reverse("admin:dashboard", query=said | changed)
