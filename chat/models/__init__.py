"""Sessions, runs and events, and what is kept beside them. What must always be true is a constraint here, not a check elsewhere."""

from __future__ import annotations

from chat.models.chore import Chore
from chat.models.event import Event, EventType, Unchangeable
from chat.models.export import Export
from chat.models.feedback import Feedback
from chat.models.hold import LegalHold
from chat.models.notice import SiteNotice
from chat.models.process import OpenSocket, Process
from chat.models.reading import Reading
from chat.models.retention import RetentionRule
from chat.models.run import ACTIVE, Run, RunState
from chat.models.saved_filter import SavedFilter
from chat.models.session import ChatSession, new_epoch, new_public_id
from chat.models.tool_count import ToolCount
from chat.models.usage import DailyUsage

__all__ = [
    "ACTIVE",
    "ChatSession",
    "Chore",
    "DailyUsage",
    "Event",
    "EventType",
    "Export",
    "Feedback",
    "LegalHold",
    "OpenSocket",
    "Process",
    "Reading",
    "RetentionRule",
    "Run",
    "RunState",
    "SavedFilter",
    "SiteNotice",
    "ToolCount",
    "Unchangeable",
    "new_epoch",
    "new_public_id",
]
