"""Sessions, runs and events. What must always be true is a constraint here, not a check elsewhere."""

from __future__ import annotations

import secrets
import uuid

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from agents.steps import StepType
from chat.protocol import SESSION_ID


def new_epoch() -> str:
    return secrets.token_hex(8)


def new_public_id() -> str:
    return secrets.token_urlsafe(12)


class ChatSession(models.Model):
    """One user's chat. `head` is the `seq` of its last event; a new `epoch` tells clients to start afresh."""

    public_id = models.CharField(
        max_length=64, unique=True, default=new_public_id, validators=[RegexValidator(rf"^{SESSION_ID}$")]
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chat_sessions")
    title = models.CharField(max_length=120, blank=True)
    agent = models.CharField(max_length=64)
    head = models.PositiveBigIntegerField(default=0)
    epoch = models.CharField(max_length=32, default=new_epoch)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "session"
        ordering = ["-updated_at", "-pk"]
        indexes = [models.Index(fields=["owner", "-updated_at"], name="session_owner_updated")]

    def __str__(self) -> str:
        return self.title or self.public_id


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
    losses = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    stop_asked_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=32, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    reasoning_tokens = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["session", "seq"]
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
            models.Index(fields=["session", "-seq"], name="run_session_seq"),
            models.Index(fields=["session"], condition=Q(state__in=(RunState.QUEUED, *ACTIVE)), name="run_unfinished"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_over(self) -> bool:
        return self.state in (RunState.COMPLETED, RunState.FAILED, RunState.STOPPED)


class EventType(models.TextChoices):
    MESSAGE = "message"
    RUN_START = "run_start", "run started"
    STEP = "step"
    RUN_END = "run_end", "run ended"


class Event(models.Model):
    """A recorded fact. Written by `chat.events.append` alone, never updated, deleted only with its session.

    `data` holds what belongs to one type of event only; `duration` is in seconds.
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
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["session", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["session", "seq"], name="one_event_for_each_seq"),
            models.UniqueConstraint(fields=["run"], condition=Q(type="run_end"), name="one_ending_for_each_run"),
            models.UniqueConstraint(fields=["run", "step"], condition=Q(type="step"), name="one_event_for_each_step"),
        ]

    def __str__(self) -> str:
        return f"{self.session_id}#{self.seq} {self.step_type or self.type}"


class Process(models.Model):
    """A web server or a worker that lives, by the database's clock: `seen_at` is renewed for as long as it does."""

    name = models.CharField(primary_key=True, max_length=64)
    kind = models.CharField(max_length=8, choices=[("web", "web server"), ("worker", "worker")])
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "processes"

    def __str__(self) -> str:
        return self.name


class OpenSocket(models.Model):
    """A socket of a user's at some web server; it goes with its process."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    process = models.ForeignKey(Process, on_delete=models.CASCADE, related_name="sockets")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="open_sockets")
    opened_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.user_id}@{self.process_id}"


class DailyUsage(models.Model):
    """What a user's runs have used in one day (UTC), in tokens."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="daily_usage")
    day = models.DateField()
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "daily usage"
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="one_usage_for_each_day")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.day}"
