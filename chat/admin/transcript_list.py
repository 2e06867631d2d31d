"""What the lists of sessions, runs and events share: who sees which rows, how they are searched and narrowed, and how little of
them is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR, ChangeList
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from agents.registry import AGENTS
from agents.tools import TOOLS
from chat import finding
from chat.admin.capped_paginator import LONGEST_LIST, LONGEST_SEARCH, CappedPaginator
from chat.admin.narrowing import Narrowing
from chat.admin.read_only import ReadOnly
from chat.admin.takeout import take_out
from chat.models import SavedFilter

Viewer = User | AnonymousUser


class TranscriptChangeList(ChangeList):
    """Django's, with the conditions of all filters put together, and light rows."""

    model_admin: TranscriptList
    paginator: CappedPaginator

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        filters = [spec for spec in self.filter_specs if isinstance(spec, Narrowing)]
        for spec in filters:
            queryset = queryset.filter(spec.rows)
        runs = Q()
        for spec in filters:
            runs &= spec.runs
        return self.model_admin.having_to_do_with(queryset, runs) if runs else queryset

    def get_results(self, request: HttpRequest) -> None:
        # Those for an action, which are asked for by `get_queryset`, are whole.
        whole = self.queryset
        self.queryset = self.model_admin.light(whole)
        super().get_results(request)
        self.queryset = whole
        self.result_list = self.model_admin.completed(list(self.result_list))


class TranscriptList(ReadOnly):
    """A list of the admin through whose door nobody sees what `chat.readings` does not let him."""

    actions: Sequence[Any] = [take_out]
    change_list_template = "admin/chat/transcript_list.html"
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 200
    # Any will do: it makes Django show the box; `found` does the search.
    search_fields = ["pk"]

    def readable(self, viewer: Viewer) -> QuerySet[Any]:
        """Those of the list's rows that may be read."""
        raise NotImplementedError  # each list has its own

    def found(self, queryset: QuerySet[Any], text: str, *, viewer: Viewer) -> QuerySet[Any]:
        """Those rows that have to do with the words. What the viewer may not read makes no difference to what is found."""
        raise NotImplementedError  # each list has its own

    def having_to_do_with(self, queryset: QuerySet[Any], runs: Q) -> QuerySet[Any]:
        """Those rows that have to do with a run for which this is true."""
        raise NotImplementedError  # each list has its own

    def light(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """With no more of each row than a list shows: texts may be long."""
        raise NotImplementedError  # each list has its own

    def completed(self, rows: list[Any]) -> list[Any]:
        """With what a page's rows lack, asked for once for all of them."""
        return rows

    # --- Django's ---

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.readable(request.user)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return TranscriptChangeList

    def get_paginator(self, request: HttpRequest, queryset: Any, per_page: int, *args: Any, **kwargs: Any) -> Any:
        if request.GET.get(SEARCH_VAR):
            return CappedPaginator(queryset, per_page, most=LONGEST_SEARCH, in_order=True)
        return CappedPaginator(queryset, per_page, most=LONGEST_LIST)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        text = finding.clean(search_term)
        return (self.found(queryset, text, viewer=request.user) if text else queryset), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        kept = {name: values for name, values in request.GET.lists() if name not in (PAGE_VAR, "e")}
        name = self.model._meta.model_name or ""
        context = {
            "saved_filters": SavedFilter.objects.filter(Q(owner_id=request.user.pk) | Q(is_shared=True), model=name),
            "saved_model": name,
            "saved_query": urlencode(kept, doseq=True),
            "agents": list(AGENTS),
            "tools": list(TOOLS),
        }
        return super().changelist_view(request, context | (extra_context or {}))
