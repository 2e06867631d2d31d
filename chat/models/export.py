"""What was asked to be taken out."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class Export(models.Model):
    """A selection of runs, fixed when it was asked for, in one format. Its parts are made when they are fetched, each from its
    place in `runs` and of what was recorded until `last_event`: so any part can be fetched again and is the same.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exports")
    format = models.CharField(max_length=16)
    # Ids of runs as hexadecimal digits, in the order of the export; the primary key of the last event that is part of it.
    runs = models.JSONField()
    last_event = models.PositiveBigIntegerField()
    described = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{len(self.runs)} runs as {self.format}"
