"""Filters of the admin's lists that somebody gave a name."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class SavedFilter(models.Model):
    """A list of the admin with its filters: `model` is the list's, `query` its query string without the question mark."""

    name = models.CharField(max_length=80)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_filters")
    model = models.CharField(max_length=32)
    query = models.TextField(max_length=4000, blank=True)
    is_shared = models.BooleanField("shared with all of the staff", default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "model", "name"], name="one_saved_filter_for_each_name")
        ]

    def __str__(self) -> str:
        return self.name
