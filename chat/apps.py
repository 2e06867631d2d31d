from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_save


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        from django.contrib.auth import get_user_model

        from chat import logins

        # Signals of Django's own accounts, which have no other hook; our own flow uses none.
        user_logged_out.connect(logins.on_logged_out)
        post_save.connect(logins.on_user_saved, sender=get_user_model())
