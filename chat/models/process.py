"""The processes of the site, and the sockets that they have open."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


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
