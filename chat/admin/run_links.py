"""Addresses of the list of runs with its filters: the runs behind a number."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse

from chat.statistics.query import Dimension, Selection

FILTERS = {Dimension.AGENT: "agent__exact", Dimension.MODEL: "model__exact"}
BEGIN, END = "created_at__gte", "created_at__lt"


def runs_address(
    begin: datetime, end: datetime, chosen: dict[Dimension, str], more: dict[str, str] | None = None
) -> str | None:
    """The list of the runs asked for in this time and of these; None where the list has no such filter."""
    if any(dimension not in FILTERS for dimension in chosen):
        return None
    query = {FILTERS[dimension]: value for dimension, value in chosen.items()}
    query |= {BEGIN: begin.isoformat(), END: end.isoformat(), **(more or {})}
    return reverse("admin:chat_run_changelist", query=query)


def chosen_by(selection: Selection, username: str) -> dict[Dimension, str]:
    """What a selection names."""
    named = {
        Dimension.AGENT: selection.agent,
        Dimension.MODEL: selection.model,
        Dimension.TOOL: selection.tool,
        Dimension.USER: username,
    }
    return {dimension: value for dimension, value in named.items() if value}
