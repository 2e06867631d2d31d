"""Django's admin for those who answer for what agents did. Django imports this package; each module registers what is its own."""

from __future__ import annotations

from chat.admin import events, exports, runs, saved_filters, sessions

__all__ = ["events", "exports", "runs", "saved_filters", "sessions"]
