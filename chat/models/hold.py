"""Legal holds: what must not be deleted."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from chat.models.session import ChatSession


class LegalHold(models.Model):
    """While it is not lifted, neither retention nor an erasure deletes the session, or any session of the user."""

    session = models.ForeignKey(ChatSession, on_delete=models.PROTECT, null=True, blank=True, related_name="holds")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="holds"
    )
    reason = models.TextField(max_length=2000)
    placed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    placed_at = models.DateTimeField(default=timezone.now, editable=False)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    lifted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-placed_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(session=None, user__isnull=False) | Q(session__isnull=False, user=None),
                name="a_hold_is_of_a_session_or_a_user",
            )
        ]

    def __str__(self) -> str:
        # Not by its title, which its user may have marked private.
        return f"hold of user {self.user}" if self.session is None else f"hold of session {self.session.public_id}"
