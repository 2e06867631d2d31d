"""What a user thinks of an answer."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from chat.models.run import Run


class Feedback(models.Model):
    """A thumb, and a comment if there is one, of the session's user on the answer of a run."""

    UP, DOWN = 1, -1

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="feedback")
    thumb = models.SmallIntegerField(choices=[(UP, "thumb up"), (DOWN, "thumb down")])
    comment = models.TextField(blank=True, max_length=2000)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name_plural = "feedback"

    def __str__(self) -> str:
        return self.get_thumb_display()
