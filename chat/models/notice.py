"""What operators have to say to all users."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class SiteNotice(models.Model):
    """A notice that every open page shows, and every page that is opened until it has passed or was withdrawn."""

    class Level(models.TextChoices):
        INFO = "info", "information"
        WARNING = "warning"

    text = models.CharField(max_length=500)
    level = models.CharField(max_length=8, choices=Level, default=Level.INFO)
    shown_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "announcement"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.text
