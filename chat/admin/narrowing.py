"""Filters of the admin's lists, each a condition on the list's rows or on runs. Their state is the address of the page.

None of them asks the database what there is to choose from: what nobody can list in advance is typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib.admin import ListFilter, ModelAdmin
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.db.models import Model, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import urlencode

NOTHING = Q(pk__in=[])

Condition = Callable[[Any], Q]


class Narrowing(ListFilter):
    """A filter. `rows` is its condition on the list's own rows, `runs` its condition on runs: the rows that have to do with one
    that fulfils it together with those of all other filters are shown (see `chat.admin.transcript_list`).
    """

    rows: Q
    runs: Q
    about_runs: ClassVar[bool] = False

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type[Model], model_admin: ModelAdmin[Any]
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.given = {name: str(params.pop(name)[-1]).replace("\0", "") for name in self.parameters() if name in params}
        self.used_parameters.update(self.given)
        self.rows = self.runs = Q()
        condition = self.condition() if any(self.given.values()) else Q()
        if self.is_about_runs():
            self.runs = condition
        else:
            self.rows = condition

    def is_about_runs(self) -> bool:
        return self.about_runs

    def parameters(self) -> list[str]:
        """Those of the address that are this filter's."""
        raise NotImplementedError  # each filter has its own

    def expected_parameters(self) -> list[str | None]:
        return [*self.parameters()]

    def condition(self) -> Q:
        """Asked for where something was given."""
        raise NotImplementedError  # each filter has its own

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """All conditions are put together by the list."""
        return queryset


class Choice(Narrowing):
    """Links, one of which holds."""

    parameter: ClassVar[str]
    options: ClassVar[dict[str, tuple[str, Condition]]]
    # Those of a filter about runs that are about rows all the same.
    about_rows: ClassVar[frozenset[str]] = frozenset()

    def is_about_runs(self) -> bool:
        return self.about_runs and self.given.get(self.parameter) not in self.about_rows

    def parameters(self) -> list[str]:
        return [self.parameter]

    def condition(self) -> Q:
        value = self.given[self.parameter]
        return self.options[value][1](value) if value in self.options else NOTHING

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override] # its stub names a type of its own
        chosen = self.given.get(self.parameter, "")
        yield {
            "selected": not chosen,
            "query_string": changelist.get_query_string({}, [self.parameter]),
            "display": "All",
        }
        for value, (title, _) in self.options.items():
            query = changelist.get_query_string({self.parameter: value})
            yield {"selected": chosen == value, "query_string": query, "display": title}


class Typed(Narrowing):
    """A small form. What can't be read is said beside its field, and finds nothing."""

    template = "admin/chat/narrowing.html"
    fields: ClassVar[dict[str, forms.Field]]

    def parameters(self) -> list[str]:
        return list(self.fields)

    def filled(self, values: dict[str, Any]) -> Q:
        """The condition for what was typed; what was left empty is not in it."""
        raise NotImplementedError  # each filter has its own

    def condition(self) -> Q:
        form = self.form()
        if not form.is_valid():
            return NOTHING
        return self.filled({name: value for name, value in form.cleaned_data.items() if value not in (None, "")})

    def form(self) -> forms.Form:
        form = forms.Form(self.given or None, auto_id="filter-%s")
        form.fields.update(deepcopy(self.fields))
        return form

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:  # type: ignore[override] # as above
        """One, for the template: the form, what else is in the address, and the address without this filter."""
        names = {*self.fields, PAGE_VAR}
        others = [(name, value) for name, value in sorted(changelist.params.items()) if name not in names]
        form = self.form()
        for name, field in form.fields.items():
            if any(self.given.values()) and form.errors.get(name):
                field.widget.attrs |= {"aria-invalid": "true", "aria-describedby": f"filter-{name}-error"}
        yield {
            "form": form,
            "others": others,
            "clear": f"?{urlencode(others)}" if any(self.given.values()) else "",
        }


def choice(
    title: str,
    parameter: str,
    options: dict[str, tuple[str, Condition]],
    *,
    about_runs: bool = False,
    about_rows: frozenset[str] = frozenset(),
) -> type[Choice]:
    members = {
        "title": title,
        "parameter": parameter,
        "options": options,
        "about_runs": about_runs,
        "about_rows": about_rows,
    }
    return type(f"Choice_{parameter}", (Choice,), members)


def typed(
    title: str, parameter: str, condition: Condition, *, about_runs: bool = False, known: str = ""
) -> type[Typed]:
    """A word, exactly; `known` is the id of the page's list of those to choose from, if there is one."""
    attributes = {"list": known} if known else {}
    field = forms.CharField(
        label=title.capitalize(), max_length=200, required=False, widget=forms.TextInput(attrs=attributes)
    )
    members = {
        "title": title,
        "fields": {parameter: field},
        "filled": lambda self, values: condition(values[parameter]) if parameter in values else Q(),
        "about_runs": about_runs,
    }
    return type(f"Typed_{parameter}", (Typed,), members)


def between(
    title: str,
    parameter: str,
    field: Callable[..., forms.Field],
    at_least: Condition,
    at_most: Condition,
    *,
    about_runs: bool = False,
) -> type[Typed]:
    """A range, whose ends belong to it; each may be left open."""
    low, high = f"{parameter}_from", f"{parameter}_to"

    def filled(self: Typed, values: dict[str, Any]) -> Q:
        condition = Q()
        if low in values:
            condition &= at_least(values[low])
        if high in values:
            condition &= at_most(values[high])
        return condition

    fields = {low: field(label="From", required=False), high: field(label="To", required=False)}
    members = {"title": title, "fields": fields, "filled": filled, "about_runs": about_runs}
    return type(f"Between_{parameter}", (Typed,), members)


def moment(**options: Any) -> forms.Field:
    return forms.DateTimeField(
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"), **options
    )


def number(**options: Any) -> forms.Field:
    return forms.FloatField(
        min_value=0, max_value=1e12, widget=forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"}), **options
    )


def time_filters(field: str) -> list[type[Narrowing]]:
    """Time, by how long ago and as a range."""
    ages = {
        "1h": ("Past hour", timedelta(hours=1)),
        "1d": ("Past 24 hours", timedelta(days=1)),
        "7d": ("Past 7 days", timedelta(days=7)),
        "30d": ("Past 30 days", timedelta(days=30)),
        "365d": ("Past year", timedelta(days=365)),
    }

    def since(age: timedelta) -> Condition:
        return lambda _: Q(**{f"{field}__gte": timezone.now() - age})

    return [
        choice("age", "age", {key: (title, since(age)) for key, (title, age) in ages.items()}),
        between(
            "time (UTC)",
            "time",
            moment,
            lambda value: Q(**{f"{field}__gte": value}),
            lambda value: Q(**{f"{field}__lte": value}),
        ),
    ]
