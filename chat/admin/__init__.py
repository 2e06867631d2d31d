"""Django's admin for those who answer for what agents did. Django imports this package; each module registers what is its own."""

from __future__ import annotations

from chat.admin import (
    comparison,
    dashboard,
    events,
    exports,
    runs,
    saved_filters,
    sessions,
    transcript,
)

__all__ = [
    "comparison",
    "dashboard",
    "events",
    "exports",
    "runs",
    "saved_filters",
    "sessions",
    "transcript",
]
