"""A run: one answer being worked out."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone

from chat.models.session import ChatSession


class RunState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting", "waiting for approval"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


ACTIVE = (RunState.RUNNING, RunState.WAITING)


class Run(models.Model):
    """One answer being worked out. `seq` is that of its message: a session's runs go in this order.

    `attempt` counts who has driven it; only the latest may write (fencing). `losses` counts those of them that were lost and
    did not hand it over.
    `lease_until` is by the database's clock: a run that is active after it has lost its process.
    `stop_asked_by_operator` says that it was no wish of its user's.
    `cost` is in US dollars by `MODEL_PRICES`, None where the model has no price there. `first_token_seconds` is from the start of
    the attempt that spoke first to its first token.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="runs")
    parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="followers")
    client_id = models.CharField(max_length=64)
    seq = models.PositiveBigIntegerField()
    message = models.TextField()
    agent = models.CharField(max_length=64)
    model = models.CharField(max_length=128, blank=True)
    enable_reasoning = models.BooleanField(default=True)
    state = models.CharField(max_length=16, choices=RunState, default=RunState.QUEUED)
    attempt = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0, db_default=0)
    worker = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    stop_asked_at = models.DateTimeField(null=True, blank=True)
    stop_asked_by_operator = models.BooleanField(default=False, db_default=False)
    error_code = models.CharField(max_length=32, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True, blank=True)
    tool_calls = models.PositiveIntegerField(default=0, db_default=0)
    tool_errors = models.PositiveIntegerField(default=0, db_default=0)
    first_token_seconds = models.FloatField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["session", "seq"]
        permissions = [("operate_run", "Can stop, retry and take over runs")]
        constraints = [
            models.UniqueConstraint(fields=["session"], condition=Q(state__in=ACTIVE), name="one_active_run"),
            models.UniqueConstraint(fields=["session", "client_id"], name="one_run_for_each_client_id"),
            models.CheckConstraint(
                condition=Q(state__in=(RunState.QUEUED, *ACTIVE), ended_at=None)
                | (~Q(state__in=(RunState.QUEUED, *ACTIVE)) & ~Q(ended_at=None)),
                name="ended_runs_have_an_end",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "lease_until"], name="run_state_lease"),
            models.Index(fields=["created_at"], name="run_created"),
            models.Index(fields=["agent", "created_at"], name="run_agent"),
            models.Index(fields=["model", "created_at"], name="run_model"),
            models.Index(fields=["error_code", "created_at"], condition=~Q(error_code=""), name="run_error"),
            models.Index(fields=["ended_at"], name="run_ended"),
            models.Index(fields=["session", "-seq"], name="run_session_seq"),
            models.Index(fields=["session"], condition=Q(state__in=(RunState.QUEUED, *ACTIVE)), name="run_unfinished"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_over(self) -> bool:
        return self.state in (RunState.COMPLETED, RunState.FAILED, RunState.STOPPED)
