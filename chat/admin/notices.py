"""Announcements to all users: written here, shown on every open page at once, and withdrawn."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from chat import site_notices
from chat.models import SiteNotice


@admin.register(SiteNotice)
class SiteNoticeAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic in its stubs alone
    """Whatever changes a notice tells every process to look."""

    list_display = ["text", "level", "state", "shown_until", "created_by", "created_at", "withdrawn_at"]
    list_filter = ["level", "created_at"]
    list_select_related = ["created_by"]
    search_fields = ["text"]
    fields = ["text", "level", "shown_until", "created_by", "created_at", "withdrawn_at"]
    readonly_fields = ["created_by", "created_at", "withdrawn_at"]
    actions = ["withdraw"]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        # Django's field for a moment fails on the text that an address has for it.
        initial = super().get_changeform_initial_data(request)
        return {name: initial[name] for name in ("text", "level") if name in initial}

    @admin.display
    def state(self, notice: SiteNotice) -> str:
        if notice.withdrawn_at is not None:
            return "withdrawn"
        has_passed = notice.shown_until is not None and notice.shown_until <= timezone.now()
        return "has passed" if has_passed else "shown"

    @admin.action(description="Withdraw selected announcements", permissions=["change"])
    def withdraw(self, request: HttpRequest, notices: Any) -> None:
        chosen = list(notices.filter(withdrawn_at=None))
        notices.filter(withdrawn_at=None).update(withdrawn_at=timezone.now())
        for notice in chosen:
            self.log_change(request, notice, "Withdrawn.")
        site_notices.announce()
        self.message_user(request, f"Withdrawn: {len(chosen)}.")

    def save_model(self, request: HttpRequest, obj: SiteNotice, form: Any, change: bool) -> None:
        if not change:
            obj.created_by_id = request.user.pk
        super().save_model(request, obj, form, change)
        site_notices.announce()

    def delete_model(self, request: HttpRequest, obj: SiteNotice) -> None:
        super().delete_model(request, obj)
        site_notices.announce()

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        super().delete_queryset(request, queryset)
        site_notices.announce()
