"""Legal holds: placed with a reason, lifted, and otherwise neither changed nor deleted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from chat.admin.read_only import moment_text, shortened
from chat.models import LegalHold
from chat.readings import readable_by


@admin.register(LegalHold)
class LegalHoldAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # generic in its stubs alone
    """Whoever may add holds places them; whoever may change them lifts them. Nobody does anything else with them."""

    actions = None
    show_full_result_count = False
    change_form_template = "admin/hold.html"
    list_display = ["of_what", "why", "placed_by", "placed", "lifted_by", "lifted"]
    list_filter = [("lifted_at", admin.EmptyFieldListFilter), "placed_at"]
    list_select_related = ["session", "user", "placed_by", "lifted_by"]
    search_fields = ["reason", "user__username", "session__public_id"]
    raw_id_fields = ["session", "user"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ["session", "user", "reason"]
        return ["of_what", "reason", "placed_by", "placed_at", "lifted_by", "lifted_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [] if obj is None else self.get_fields(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "session":
            kwargs["queryset"] = readable_by(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(
            request, obj, change=change, **({"form": LegalHoldForm} if obj is None else {}) | kwargs
        )

    def save_model(self, request: HttpRequest, obj: LegalHold, form: Any, change: bool) -> None:
        obj.placed_by = request.user  # type: ignore[assignment] # the admin lets nobody in who is not signed in
        super().save_model(request, obj, form, change)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        hold = self.get_object(request, object_id)
        may_lift = hold is not None and hold.lifted_at is None and request.user.has_perm("chat.change_legalhold")
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_lift": may_lift})

    def get_urls(self) -> list[URLPattern]:
        lift = path("<int:hold_id>/lift/", self.admin_site.admin_view(self.lift), name="chat_legalhold_lift")
        return [lift, *super().get_urls()]

    def lift(self, request: HttpRequest, hold_id: int) -> HttpResponse:
        """Lift a hold; once."""
        if not request.user.has_perm("chat.change_legalhold"):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        hold = get_object_or_404(LegalHold, pk=hold_id)
        standing: QuerySet[LegalHold] = LegalHold.objects.filter(pk=hold_id, lifted_at=None)
        if standing.update(lifted_at=timezone.now(), lifted_by=request.user):
            self.log_change(request, hold, "Lifted.")
            messages.success(request, "The hold is lifted.")
        return redirect(reverse("admin:chat_legalhold_change", args=[hold_id]))

    @admin.display(description="holds")
    def of_what(self, hold: LegalHold) -> str:
        return str(hold).removeprefix("hold of ")

    @admin.display(description="reason", ordering="reason")
    def why(self, hold: LegalHold) -> str:
        return shortened(hold.reason)

    @admin.display(description="placed at", ordering="placed_at")
    def placed(self, hold: LegalHold) -> str:
        return moment_text(hold.placed_at)

    @admin.display(description="lifted at", ordering="lifted_at")
    def lifted(self, hold: LegalHold) -> str | None:
        return moment_text(hold.lifted_at) if hold.lifted_at else None


class LegalHoldForm(forms.ModelForm):  # type: ignore[type-arg] # generic in its stubs alone
    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        if not self.errors and (cleaned.get("session") is None) == (cleaned.get("user") is None):
            raise forms.ValidationError("Name a session or a user: one of them, and not both.")
        return cleaned
