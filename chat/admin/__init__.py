"""Django's admin for those who answer for what agents did. Django imports this package; each module registers what is its own."""

from __future__ import annotations

from chat.admin import (
    chores,
    comparison,
    dashboard,
    events,
    exports,
    feedback,
    holds,
    notices,
    operations,
    readings,
    retention,
    runs,
    saved_filters,
    sessions,
    sockets,
    transcript,
    usage,
    users,
)

__all__ = [
    "chores",
    "comparison",
    "dashboard",
    "events",
    "exports",
    "feedback",
    "holds",
    "notices",
    "operations",
    "readings",
    "retention",
    "runs",
    "saved_filters",
    "sessions",
    "sockets",
    "transcript",
    "usage",
    "users",
]
