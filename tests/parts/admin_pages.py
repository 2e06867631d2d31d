"""Every page of the admin, as the addresses that there are: with the rows that are there, and what a superuser gets.

Called inside an installation's own process. A page whose address takes something has to be in `ARGUMENTS`: `pages` fails where one
was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypedDict
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, reverse

from chat.models import ChatSession, Event, Export, LegalHold, Run
from tests.parts.trap import CORPUS, HOSTILE


class Page(TypedDict):
    """`status` is what the visitor gets in the end; `label` is the model that the page is about, empty where it is about none."""

    address: str
    status: int
    label: str


# Pages that belong to no one row of a model: what their addresses take, the query strings to open them with, and the status.
Arguments = list[tuple[list[Any], list[str], int]]


def _sessions() -> list[ChatSession]:
    return list(ChatSession.objects.order_by("pk")[:3])


def _runs() -> list[Run]:
    """The first and the last of a session, then one that failed."""
    runs = Run.objects.order_by("session_id", "seq")
    failed = runs.filter(state="failed").first()
    return [run for run in (runs.first(), runs.last(), failed) if run is not None]


def _of_runs(_: User) -> Arguments:
    return [([run.session_id, run.pk], [""], 200) for run in _runs()]


def _exports(status: int) -> Callable[[User], Arguments]:
    def arguments(visitor: User) -> Arguments:
        first: dict[str, Any] = {}
        for export in Export.objects.filter(owner=visitor).order_by("pk"):
            first.setdefault(export.format, export.pk)
        return [([pk], [""], status) for pk in first.values()]

    return arguments


def _compared(_: User) -> Arguments:
    first, second, third = (run.pk for run in _runs())
    return [
        ([], [urlencode({"left": first, "right": second}), urlencode({"left": third, "right": first})], 200),
        ([], [urlencode({"left": HOSTILE, "right": second})], 404),
    ]


def _dashboard(_: User) -> Arguments:
    ways = [urlencode({"by": way}) for way in ("agent", "model", "tool", "user")]
    names = {"agent": CORPUS[4], "model": CORPUS[10], "tool": HOSTILE}
    owner = User.objects.filter(chat_sessions__isnull=False).order_by("-pk")[0]
    without_sessions = User.objects.exclude(first_name="").order_by("-pk")[0]
    return [
        ([], ["", *ways, urlencode({"range": "24h", "user": owner.username}), urlencode(names)], 200),
        ([], [urlencode({"user": without_sessions.username})], 400),
        ([], [urlencode(dict.fromkeys(("range", "by", "start", "end", "user", *names), HOSTILE))], 400),
    ]


def _simple(*queries: str, status: int = 200) -> Callable[[User], Arguments]:
    return lambda _: [([], [*queries] or [""], status)]


ARGUMENTS: dict[str, Callable[[User], Arguments]] = {
    "index": _simple(),
    "login": _simple("", urlencode({"next": "/admin/?" + HOSTILE})),
    "logout": _simple(status=405),
    "password_change": _simple(),
    "password_change_done": _simple(),
    "autocomplete": _simple("", urlencode({"term": HOSTILE, "app_label": HOSTILE, "field_name": HOSTILE}), status=403),
    "jsi18n": _simple(),
    "view_on_site": lambda _: [([HOSTILE, HOSTILE], [""], 404)],
    "app_list": lambda _: [([label], [""], 200) for label in sorted({model._meta.app_label for model in _models()})],
    "auth_user_password_change": lambda _: [([_hostile_user().pk], [""], 200)],
    "auth_user_take_out": lambda _: [([_hostile_user().pk], [""], 200)],
    "auth_user_erase": lambda _: [([_hostile_user().pk], [""], 200)],
    "chat_compare": _compared,
    "dashboard": _dashboard,
    "chat_transcript": lambda _: [([session.pk], [""], 200) for session in _sessions()],
    "chat_transcript_facts": lambda _: [
        ([session.pk], ["", urlencode({"after": HOSTILE})], 200) for session in _sessions()
    ],
    "chat_transcript_frames": _of_runs,
    "chat_transcript_steps": _of_runs,
    "chat_transcript_messages": _of_runs,
    "chat_legalhold_lift": lambda _: [([LegalHold.objects.order_by("pk")[0].pk], [""], 405)],
    "chat_savedfilter_save": _simple(status=405),
    "chat_export_part": _exports(200),
    "chat_export_download": _exports(200),
    "operations": _simple(),
    "operations_now": _simple(),
    "operate_run": lambda _: [([_runs()[0].pk, "stop"], [""], 405)],
}


def _hostile_user() -> User:
    return User.objects.filter(username__contains="<u h").order_by("-pk")[0]


def _models() -> list[type[Model]]:
    return list(admin.site._registry)


def _request(visitor: User) -> Any:
    request = RequestFactory().get("/")
    request.user = visitor
    return request


def rows(model: type[Model], visitor: User) -> list[Model]:
    """Some rows that the visitor sees in the model's list, of different kinds where it has kinds."""
    found = admin.site._registry[model].get_queryset(_request(visitor)).order_by("pk")
    if model is User:
        found = found.filter(username__contains="<u h")
    if model is Event:
        kinds = found.values_list("type", "step_type").distinct().order_by()
        return [found.filter(type=kind, step_type=step_type)[0] for kind, step_type in kinds]
    return [found[0], found[len(found) // 2]]


def _of_model(model: type[Model], visitor: User) -> dict[str, list[tuple[str, int]]]:
    """The pages that Django makes for a model, by name: their addresses and statuses."""
    model_admin = admin.site._registry[model]
    request = _request(visitor)
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    some = rows(model, visitor)
    listed = reverse(f"admin:{name}_changelist")
    columns = [field.name for field in model._meta.concrete_fields if field.name != "password"]
    wrong = dict.fromkeys(columns, HOSTILE)
    prefilled = urlencode(
        wrong | {"_changelist_filters": f"q={HOSTILE}", "_popup": "1", "_to_field": str(model._meta.pk.name)}
    )
    lists = ["", urlencode({"q": HOSTILE}), urlencode({"o": HOSTILE, "p": HOSTILE, "all": HOSTILE}), urlencode(wrong)]
    # What is wrong in a list's address is answered by the list, without it.
    found = {f"{name}_changelist": [(f"{listed}?{query}".rstrip("?"), 200) for query in lists]}
    if model is User:
        # By passwords, Django lets nobody search.
        found[f"{name}_changelist"].append((f"{listed}?{urlencode({'password': HOSTILE})}", 400))

    def page(view: str, of: list[Model], allowed: bool, query: str = "") -> None:
        found[f"{name}_{view}"] = [
            (reverse(f"admin:{name}_{view}", args=[quote(row.pk)]) + query, 200 if allowed else 403) for row in of
        ]

    may_add = model_admin.has_add_permission(request)
    found[f"{name}_add"] = [(f"{reverse(f'admin:{name}_add')}?{prefilled}", 200 if may_add else 403)]
    page("change", some, True, f"?{urlencode({'_changelist_filters': 'q=' + HOSTILE})}")
    page("history", some[-1:], True)
    page("delete", some[-1:], model_admin.has_delete_permission(request, some[-1]))
    return found


def _patterns(patterns: list[Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Name and route of every page below."""
    for pattern in patterns:
        route = f"{before}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield pattern.name or "", route


def pages(visitor: User) -> Iterator[Page]:
    """All of them. Fails where nobody has said what a page's address takes."""
    generated = {name: (model, found) for model in _models() for name, found in _of_model(model, visitor).items()}
    forgotten = []
    for name, route in _patterns(admin.site.get_urls()):
        if name in generated:
            model, addresses = generated[name]
            yield from (Page(address=address, status=status, label=model._meta.label) for address, status in addresses)
        elif name in ARGUMENTS:
            for arguments, queries, status in ARGUMENTS[name](visitor):
                address = reverse(f"admin:{name}", args=arguments)
                yield from (
                    Page(address=f"{address}?{query}".rstrip("?"), status=status, label="") for query in queries
                )
        elif not name and route.endswith("<path:object_id>/"):
            # It leads to the row's own.
            pass
        elif not name and route == "(?P<url>.*)$":
            yield Page(address=f"{reverse('admin:index')}{quote(HOSTILE)}/", status=404, label="")
        else:
            forgotten.append(name or route)
    assert not forgotten, f"pages of the admin that ARGUMENTS does not know: {forgotten}"


def answers(visitor: User) -> list[tuple[str, str, dict[str, Any]]]:
    """Forms to answer: the page that they are on, where to, and what with. They change nothing that another test needs."""
    found = f"{reverse('admin:chat_run_changelist')}?{urlencode({'q': CORPUS[4]})}"
    runs = [str(run.pk) for run in _runs()[::2]]
    save = reverse("admin:chat_savedfilter_save")
    erase = reverse("admin:auth_user_erase", args=[_hostile_user().pk])
    take_out = {"action": "take_out", "_selected_action": runs[:1], "select_across": "1", "index": "0"}
    said: list[tuple[str, str, dict[str, Any]]] = [
        (found, save, {"name": HOSTILE, "model": "run", "query": f"q={HOSTILE}"}),
        (found, save, {"name": "", "model": "run", "query": HOSTILE}),
        (found, found, take_out),
        (found, found, {**take_out, "format": "csv"}),
        (found, found, {"action": "stop_runs", "_selected_action": runs, "index": "0"}),
        (found, found, {"action": HOSTILE, "_selected_action": HOSTILE, "index": "0"}),
        (found, reverse("admin:operate_run", args=[runs[0], "stop"]), {"next": f"javascript:{HOSTILE}"}),
        (erase, erase, {"name": HOSTILE}),
    ]
    for model in _models():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        listed, add = reverse(f"{name}_changelist"), reverse(f"{name}_add")
        model_admin, request = admin.site._registry[model], _request(visitor)
        if "delete_selected" in model_admin.get_actions(request):
            some = {"_selected_action": [row.pk for row in rows(model, visitor)], "index": "0"}
            said.append((listed, listed, {"action": "delete_selected", **some}))
        if model_admin.has_add_permission(request):
            said.append((add, add, dict.fromkeys((field.name for field in model._meta.get_fields()), HOSTILE)))
    return said
