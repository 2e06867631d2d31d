"""The admin's site: Django's own, with pages that belong to no one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, path

View = Callable[..., HttpResponseBase]

# The queue's own pages: what waits and who works is on ours, and their actions would change jobs without a permission for it and
# without a trace in the record.
LEFT_OUT = {"procrastinate"}


@dataclass(frozen=True, slots=True)
class Page:
    """`route` is relative to the admin, `name` in its namespace; without a `title` the index does not list it."""

    route: str
    name: str
    permission: str
    view: View
    title: str


_pages: list[Page] = []


def page(route: str, *, name: str, permission: str, title: str = "") -> Callable[[View], View]:
    """Register a view as a page of the admin, for those of the staff who have the permission; everybody else gets a 403."""

    def register(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        _pages.append(Page(route, name, permission, guarded, title))
        return guarded

    return register


class GlassboxAdminSite(AdminSite):
    """See the module."""

    site_header = site_title = index_title = "Glassbox"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Django's, but for the models of `LEFT_OUT`, whose applications register them by themselves."""
        # As Django does it.
        models: Any = [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else model_or_iterable
        ours: list[type[Model]] = [model for model in models if model._meta.app_label not in LEFT_OUT]
        super().register(ours, admin_class, **options)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        ours: list[URLPattern | URLResolver] = [
            path(one.route, self.admin_view(one.view), name=one.name) for one in _pages
        ]
        return ours + super().get_urls()

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Django's. A regular expression in an address is refused, whatever the page: on SQLite it is Python that looks for it, for
        as long as its author likes, and nothing else happens in the process meanwhile.
        """

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            for name in request.GET:
                if not {"regex", "iregex"}.isdisjoint(name.split(LOOKUP_SEP)):
                    raise DisallowedModelAdminLookup(f"Filtering by {name} is not allowed.")
            return view(request, *args, **kwargs)

        return super().admin_view(guarded, cacheable)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Django's, and the pages that this visitor may open, for the index."""
        pages = [one for one in _pages if one.title and request.user.has_perm(one.permission)]
        return super().each_context(request) | {"pages": pages}
