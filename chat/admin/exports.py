"""One's own exports: their list, the page of each, its parts and its plain download."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from chat.admin.read_only import ReadOnly, moment_text
from chat.database import write_repeatable
from chat.models import Export
from chat.transcripts import exporting
from chat.transcripts.forms import FORMS
from chat.transcripts.parts import Cursor


@admin.register(Export)
class ExportAdmin(ReadOnly):
    """An export is its owner's alone, superusers included."""

    actions = []
    list_display = ["what", "as_format", "created"]
    search_fields = ["described"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Export]:
        # The ids may be megabytes.
        return exporting.exports_of(request.user).defer("runs")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(exporting.PERMISSION)

    def has_view_permission(self, request: HttpRequest, obj: Export | None = None) -> bool:
        return request.user.has_perm(exporting.PERMISSION) and (obj is None or obj.owner_id == request.user.pk)

    @admin.display(description="selection", ordering="described")
    def what(self, export: Export) -> str:
        return export.described

    @admin.display(description="format", ordering="format")
    def as_format(self, export: Export) -> str:
        return FORMS[export.format].title

    @admin.display(description="asked for at", ordering="created_at")
    def created(self, export: Export) -> str:
        return moment_text(export.created_at)

    def get_urls(self) -> list[URLPattern]:
        def page(route: str, view: Any, name: str) -> URLPattern:
            found: URLPattern = path(
                f"<uuid:pk>/{route}/", self.admin_site.admin_view(view), name=f"chat_export_{name}"
            )
            return found

        return [page("part", self.part, "part"), page("download", self.download, "download"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page that fetches the parts and saves the file."""
        try:
            export = self._own(request, uuid.UUID(object_id))
        except ValueError:
            raise Http404 from None
        form = FORMS[export.format]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Taking out: {form.title}",
            "opts": self.opts,
            "export": export,
            "form": form,
            "count": len(export.runs),
            "filename": _filename(export),
        }
        return TemplateResponse(request, "admin/chat/export/page.html", context)

    def part(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """The part at `?at=`; where the next one begins stands in a header, empty after the last."""
        export = self._own(request, pk)
        part = exporting.part_of(export, _cursor(request, "at"))
        runs = len(export.runs) if part.next is None else part.next.run
        headers = {"X-Export-Next": str(part.next or ""), "X-Export-Runs": str(runs)}
        return HttpResponse(part.content, headers=headers | _as_file(export))

    def download(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
        """All of it as one stream, or what follows `?from_part=`, which is a place as `part` names it."""
        export = self._own(request, pk)
        return StreamingHttpResponse(_stream(export, _cursor(request, "from_part")), headers=_as_file(export))

    def _own(self, request: HttpRequest, pk: uuid.UUID) -> Export:
        if not request.user.has_perm(exporting.PERMISSION):
            raise PermissionDenied
        export = exporting.exports_of(request.user).filter(pk=pk).first()
        if export is None:
            raise Http404
        return export


async def _stream(export: Export, start: Cursor) -> AsyncIterator[bytes]:
    """Part by part, each made when the one before is on its way. Where rights are taken away meanwhile, it breaks off."""
    at: Cursor | None = start
    while at is not None:
        part = await write_repeatable(partial(exporting.part_of, export, at))
        at = part.next
        yield part.content


def _cursor(request: HttpRequest, name: str) -> Cursor:
    try:
        return Cursor.parse(request.GET.get(name, str(Cursor())))
    except ValueError:
        raise Http404 from None


def _filename(export: Export) -> str:
    return f"transcripts-{export.created_at:%Y%m%d-%H%M%S}{FORMS[export.format].suffix}"


def _as_file(export: Export) -> dict[str, str]:
    """Never shown as a page of this site: it is somebody else's text."""
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{_filename(export)}"',
        "Cache-Control": "no-store",
    }
