"""An event: a recorded fact in a session."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from agents.steps import StepType
from chat.models.run import Run
from chat.models.session import ChatSession


class EventType(models.TextChoices):
    MESSAGE = "message"
    RUN_START = "run_start", "run started"
    STEP = "step"
    RUN_END = "run_end", "run ended"


class Event(models.Model):
    """A recorded fact. Written by `chat.events.append`, or taken in with its session by `chat.transcripts.taking_in`; never
    updated, deleted only with its session.

    `data` holds what belongs to one type of event only; `duration` is in seconds, `cost` in US dollars.
    """

    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    attempt = models.PositiveIntegerField(default=0)
    type = models.CharField(max_length=16, choices=EventType)
    step = models.PositiveIntegerField(null=True, blank=True)
    step_type = models.CharField(
        max_length=16, blank=True, choices=[(t.value, t.value.replace("_", " ")) for t in StepType]
    )
    iteration = models.PositiveIntegerField(null=True, blank=True)
    tool_name = models.CharField(max_length=128, blank=True)
    call_id = models.CharField(max_length=128, blank=True)
    parent_step = models.PositiveIntegerField(null=True, blank=True)
    content = models.TextField(blank=True)
    data = models.JSONField(default=dict, blank=True)
    duration = models.FloatField(null=True, blank=True)
    input_tokens = models.PositiveIntegerField(null=True, blank=True)
    output_tokens = models.PositiveIntegerField(null=True, blank=True)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["session", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["session", "seq"], name="one_event_for_each_seq"),
            models.UniqueConstraint(fields=["run"], condition=Q(type="run_end"), name="one_ending_for_each_run"),
            models.UniqueConstraint(fields=["run", "step"], condition=Q(type="step"), name="one_event_for_each_step"),
        ]
        # PostgreSQL has more, for the search and for the admin's columns: migration 0004.
        indexes = [
            models.Index(fields=["created_at", "id"], name="event_created"),
            models.Index(fields=["tool_name", "created_at", "id"], condition=~Q(tool_name=""), name="event_tool"),
            models.Index(fields=["created_at", "id"], condition=Q(step_type="error"), name="event_error"),
        ]

    def __str__(self) -> str:
        return f"{self.session_id}#{self.seq} {self.step_type or self.type}"
