"""A session: one user's chat and its history."""

from __future__ import annotations

import secrets

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from chat.protocol import SESSION_ID


def new_epoch() -> str:
    return secrets.token_hex(8)


def new_public_id() -> str:
    return secrets.token_urlsafe(12)


class ChatSession(models.Model):
    """One user's chat. `head` is the `seq` of its last event; a new `epoch` tells clients to start afresh.

    What its user marked private, viewers do not see in the admin.
    """

    public_id = models.CharField(
        max_length=64, unique=True, default=new_public_id, validators=[RegexValidator(rf"^{SESSION_ID}$")]
    )
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chat_sessions")
    title = models.CharField(max_length=120, blank=True)
    agent = models.CharField(max_length=64)
    is_private = models.BooleanField(default=False, db_default=False)
    head = models.PositiveBigIntegerField(default=0)
    epoch = models.CharField(max_length=32, default=new_epoch)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "session"
        ordering = ["-updated_at", "-pk"]
        indexes = [
            models.Index(fields=["owner", "-updated_at"], name="session_owner_updated"),
            models.Index(fields=["updated_at", "id"], name="session_updated"),
        ]
        permissions = [
            ("read_private", "Can read sessions that their users marked private"),
            ("export_transcripts", "Can take transcripts out"),
            ("erase_user", "Can erase all that the site has of a user"),
        ]

    def __str__(self) -> str:
        return self.title or self.public_id
