"""Addresses of the list of runs with its filters: the runs behind a number."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone

from chat.statistics.query import Dimension, Selection

FAILED_TOOLS = "failed_tools"


def runs_address(
    begin: datetime, end: datetime, chosen: dict[Dimension, str], more: dict[str, str] | None = None
) -> str | None:
    """The list of the runs asked for from `begin` to just before `end`, of these and with more of its filters; None where it has no
    such filter.
    """
    more = more or {}
    # It takes what is empty for no filter, and knows no failures of one tool.
    if not all(chosen.values()) or (FAILED_TOOLS in more and Dimension.TOOL in chosen):
        return None
    # The end belongs to the list's range, and its field takes no microseconds.
    last = end - timedelta(milliseconds=1)
    span = {
        name: timezone.localtime(moment).replace(tzinfo=None).isoformat(timespec="milliseconds")
        for name, moment in (("time_from", begin), ("time_to", last))
    }
    named = {dimension.value: value for dimension, value in chosen.items()}
    return reverse("admin:chat_run_changelist", query=named | span | more)


def chosen_by(selection: Selection, username: str) -> dict[Dimension, str]:
    """What a selection names."""
    named = {
        Dimension.AGENT: selection.agent,
        Dimension.MODEL: selection.model,
        Dimension.TOOL: selection.tool,
        Dimension.USER: username,
    }
    return {dimension: value for dimension, value in named.items() if value}
