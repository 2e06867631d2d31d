"""Filters that somebody gave a name: links at the top of the lists."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from chat.admin.cells import link
from chat.models import ChatSession, Event, Run, SavedFilter

LISTS = {"chatsession": ChatSession, "run": Run, "event": Event}


class SavedFilterForm(forms.ModelForm):  # type: ignore[type-arg] # generic in its stubs alone
    model = forms.ChoiceField(choices=[(name, name) for name in LISTS])

    class Meta:
        model = SavedFilter
        fields = ["name", "model", "query", "is_shared"]


@admin.register(SavedFilter)
class SavedFilterAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # as above
    """Whoever may see a list may save filters of it; nobody sees, changes or deletes another's here."""

    list_display = ["name", "of_list", "is_shared", "address"]
    fields = ["name", "is_shared", "address"]
    readonly_fields = ["address"]

    def get_urls(self) -> list[URLPattern]:
        save = path("save/", self.admin_site.admin_view(require_POST(self.save)), name="chat_savedfilter_save")
        return [save, *super().get_urls()]

    def save(self, request: HttpRequest) -> HttpResponse:
        """Save a list under a name; another one of that name and list is replaced."""
        form = SavedFilterForm(request.POST)
        if not _may_see(request, request.POST.get("model", "")):
            raise PermissionDenied
        back = f"{_list_url(request.POST['model'])}?{QueryDict(request.POST.get('query', '')).urlencode()}"
        if form.is_valid():
            given = form.cleaned_data
            SavedFilter.objects.update_or_create(
                owner_id=request.user.pk,
                model=given["model"],
                name=given["name"],
                defaults={"query": QueryDict(given["query"]).urlencode(), "is_shared": given["is_shared"]},
            )
            messages.success(request, f"Saved as “{given['name']}”.")
        else:
            why = " ".join(str(error) for errors in form.errors.values() for error in errors)
            messages.error(request, f"Not saved: {why}")
        return HttpResponseRedirect(back)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SavedFilter]:
        return SavedFilter.objects.filter(owner_id=request.user.pk)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return any(_may_see(request, name) for name in LISTS)

    def has_view_permission(self, request: HttpRequest, obj: SavedFilter | None = None) -> bool:
        return self.has_module_permission(request) and (obj is None or obj.owner_id == request.user.pk)

    def has_change_permission(self, request: HttpRequest, obj: SavedFilter | None = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: SavedFilter | None = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        """They are made where the list is."""
        return False

    @admin.display(description="list", ordering="model")
    def of_list(self, saved: SavedFilter) -> str:
        return str(LISTS[saved.model]._meta.verbose_name_plural)

    @admin.display
    def address(self, saved: SavedFilter) -> str:
        return link(f"{_list_url(saved.model)}?{saved.query}", saved.query or "everything")


def _may_see(request: HttpRequest, name: str) -> bool:
    user = request.user
    return name in LISTS and user.is_active and user.is_staff and user.has_perm(f"chat.view_{name}")


def _list_url(name: str) -> str:
    return reverse(f"admin:chat_{name}_changelist")
