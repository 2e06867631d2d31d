"""An event: a recorded fact in a session."""

from __future__ import annotations

from typing import Any, NoReturn

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


class Unchangeable(TypeError):
    """What is recorded stays as it is, and goes only with its session."""


def _refuse(*_: object, **__: object) -> NoReturn:
    raise Unchangeable("An event is never changed, and deleted only with its session.")


class Events(models.QuerySet["Event"]):
    """Events can be added and read. Where a session is deleted, Django deletes its events beneath this."""

    update = delete = bulk_update = update_or_create = _refuse

    def bulk_create(self, objs: Any, *args: Any, update_conflicts: bool = False, **kwargs: Any) -> list[Event]:
        if update_conflicts:
            _refuse()
        return super().bulk_create(objs, *args, **kwargs)


class Event(models.Model):
    """A recorded fact. Written by `chat.events.append`, or taken in with its session by `chat.transcripts.taking_in`; never
    updated, deleted only with its session: neither the queries nor the database (triggers of migration 0006) let anybody do
    otherwise.


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

    objects = Events.as_manager()

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
            models.Index(fields=["run", "tool_name"], condition=~Q(tool_name=""), name="event_run_tool"),
        ]

    def __str__(self) -> str:
        return f"{self.session_id}#{self.seq} {self.step_type or self.type}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            _refuse()
        super().save(*args, **kwargs)

    delete = _refuse
