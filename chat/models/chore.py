"""What the site does by itself now and then."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Chore(models.Model):
    """When something was last begun and ended, and what came of it. Whoever moves `begun_at` on does it, and nobody else."""

    name = models.CharField(primary_key=True, max_length=32)
    begun_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)
    said = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.name
