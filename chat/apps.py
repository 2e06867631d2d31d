from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.db.models.signals import m2m_changed, post_save


class ChatConfig(AppConfig):
    name = "chat"

    def ready(self) -> None:
        from django.contrib.auth import get_user_model
        from django.contrib.auth.models import Group

        from agents import registry
        from chat import logins

        try:
            registry.extend(settings.AGENT_MODULES)
        except registry.BadModule as error:
            raise ImproperlyConfigured(f"AGENT_MODULES: {error}") from error

        # Signals of Django's own accounts, which have no other hook; our own flow uses none.
        user_logged_out.connect(logins.on_logged_out)
        user = get_user_model()
        post_save.connect(logins.on_user_saved, sender=user)
        for relation in (user.groups, user.user_permissions, Group.permissions):
            m2m_changed.connect(logins.on_rights_changed, sender=relation.through)
