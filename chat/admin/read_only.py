"""What all lists of the admin share: they are looked at and searched, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.transcripts.exporting import PERMISSION

# Characters of a text in a list, so that all columns fit on a screen of 1280 px beside the navigation and the filters.
LONGEST = 40
LONGEST_SESSION = 20


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg] # generic in its stubs alone
    """Nobody adds, changes or deletes here, superusers included: the log is written by `chat.events` alone.

    Who may look is a matter of Django's view permissions. An account with sessions cannot be deleted in the admin
    either, as its sessions would go with it; deactivate it.
    """

    actions: Sequence[Any] | None = None
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def action_checkbox(self, obj: Any) -> SafeString:
        """Named by what the first column says, where Django would name it by what only developers know."""
        label = f"Select {getattr(self, str(self.list_display[0]))(obj)}"
        checkbox = forms.CheckboxInput({"class": "action-select", "aria-label": label}, lambda value: False)
        return checkbox.render(ACTION_CHECKBOX_NAME, str(obj.pk))

    def has_take_out_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(PERMISSION)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def shortened(text: str, length: int = LONGEST) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def moment_text(moment: datetime) -> str:
    # A column of Django's own for a time is as wide as its longest month, and never wraps.
    return date_format(timezone.localtime(moment), "j M Y, H:i:s")


def list_link(model: type[Model], text: str, **filters: object) -> str:
    """A link to the admin's list of the model, filtered."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist", query=filters)
    return format_html('<a href="{}">{}</a>', url, text)
