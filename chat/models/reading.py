"""Who read what belongs to somebody else."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from chat.models.session import ChatSession


class Reading(models.Model):
    """Somebody looked at, or took out, another user's transcript. It stays when the session or an account goes; the names in it go
    with what they name.
    """

    class How(models.TextChoices):
        READ = "read"
        COMPARED = "compared"
        EXPORTED = "exported"
        OPERATED = "operated", "stopped, retried or taken over"

    at = models.DateTimeField(default=timezone.now, db_index=True)
    how = models.CharField(max_length=16, choices=How)
    reader = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="readings"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="was_read"
    )
    session = models.ForeignKey(ChatSession, on_delete=models.SET_NULL, null=True, blank=True, related_name="readings")
    # Of the run that was looked at, where it was one; no relation, as it is to outlive the run.
    run_id = models.UUIDField(null=True, blank=True)

    class Meta:
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        # Not by its title, which its user may have marked private.
        what = "a deleted session" if self.session is None else self.session.public_id
        return f"{self.reader or 'somebody'} {self.get_how_display()} {what}"
