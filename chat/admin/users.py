"""Users in the admin: Django's own list, but an account goes by erasure alone, and all that there is of it can be taken out."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from chat import erasure
from chat.models import ChatSession, Reading
from chat.readings import record
from chat.zip_answer import zip_answer

admin.site.unregister(User)


def may_take_out(visitor: Any) -> bool:
    """Whoever takes out all of a user takes out what is private as well."""
    return bool(visitor.has_perms(["auth.view_user", "chat.export_transcripts", "chat.read_private"]))


def may_erase(visitor: Any, user: User) -> bool:
    """Nobody erases themselves here, and only administrators those of the staff: what these did would lose their name."""
    has_right = bool(visitor.has_perms(["auth.view_user", "chat.erase_user"]))
    return has_right and visitor.pk != user.pk and (visitor.is_superuser or not (user.is_staff or user.is_superuser))


@admin.register(User)
class GlassboxUserAdmin(UserAdmin):  # type: ignore[type-arg] # generic in its stubs alone
    change_form_template = "admin/user.html"
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        user = self.get_object(request, object_id)
        tools = {
            "may_take_out": may_take_out(request.user),
            "may_erase": user is not None and may_erase(request.user, user),
        }
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **tools})

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:user_id>/take-out/", view(self.take_out), name="auth_user_take_out"),
            path("<int:user_id>/erase/", view(self.erase), name="auth_user_erase"),
            *super().get_urls(),
        ]

    @staticmethod
    def _allowed(allowed: bool) -> None:
        if not allowed:
            raise PermissionDenied

    def take_out(self, request: HttpRequest, user_id: int) -> HttpResponseBase:
        """Say what it is; with POST, hand it out, and record that."""
        self._allowed(may_take_out(request.user))
        user = get_object_or_404(User, pk=user_id)
        if request.method == "POST":
            record(request.user, ChatSession.objects.filter(owner=user), Reading.How.EXPORTED)
            return zip_answer(request, user, to_themselves=False)
        return self._page(request, user, "admin/user_take_out.html", "Take out all of a user")

    def erase(self, request: HttpRequest, user_id: int) -> HttpResponseBase:
        """Say what would go; with POST and the user's name, erase them."""
        self._allowed(request.user.has_perm("chat.erase_user"))
        user = get_object_or_404(User, pk=user_id)
        self._allowed(may_erase(request.user, user))
        problem = ""
        try:
            erasure.check(user)
            if request.method == "POST" and request.POST.get("name", "") == user.get_username():
                done: list[str] = []
                erasure.erase(user, done.append)
                self._log_erasure(request, user_id)
                for line in done:
                    messages.success(request, line)
                return redirect(reverse("admin:auth_user_changelist"))
            if request.method == "POST":
                problem = "That is not the user's name. Nothing was erased."
        except erasure.Refused as refused:
            problem = str(refused)
        found = erasure.found(user) if User.objects.filter(pk=user_id).exists() else {}
        more = {"problem": problem, "found": sorted(found.items())}
        return self._page(request, user, "admin/user_erase.html", "Erase a user", **more)

    def _log_erasure(self, request: HttpRequest, user_id: int) -> None:
        """Who erased whom, by number: no name of theirs is left."""
        LogEntry.objects.create(
            user=request.user,  # type: ignore[misc] # the admin lets nobody in who is not signed in
            content_type=ContentType.objects.get_for_model(User),
            object_id=str(user_id),
            object_repr=f"user {user_id}",
            action_flag=CHANGE,
            change_message="Erased.",
        )

    def _page(self, request: HttpRequest, user: User, template: str, title: str, **more: Any) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, "original": user, **more}
        return TemplateResponse(request, template, context)
