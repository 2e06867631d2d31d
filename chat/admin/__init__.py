"""Django's admin for those who answer for what agents did. Django imports this package; each module registers what is its own."""

from __future__ import annotations

from chat.admin import chores, events, feedback, holds, readings, retention, runs, sessions, sockets, usage, users

__all__ = [
    "chores",
    "events",
    "feedback",
    "holds",
    "readings",
    "retention",
    "runs",
    "sessions",
    "sockets",
    "usage",
    "users",
]
