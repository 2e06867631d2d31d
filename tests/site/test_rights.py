"""Who may view, add, change and delete what in the admin: every model, everybody, asked of the admin and at its addresses."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.management import CommandError, call_command
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse

from chat.rights import GROUPS
from tests.site.rows import client_of, one_of_each, own_rows

PEOPLE = ("anonymous", "plain", "staff", "viewer", "auditor", "operator", "superuser")
RIGHTS = ("view", "add", "change", "delete")

# What each may do with rows of a model; nobody who is not named may do anything. Small letters are the first of the rights.
TABLE: dict[str, dict[str, str]] = {
    "auth.Group": {"superuser": "vacd"},
    # An account goes by erasure alone.
    "auth.User": {"auditor": "v", "operator": "v", "superuser": "vac"},
    "chat.ChatSession": {"viewer": "v", "auditor": "v", "operator": "v", "superuser": "v"},
    "chat.Chore": {"auditor": "v", "operator": "v", "superuser": "v"},
    "chat.DailyUsage": {"auditor": "v", "operator": "v", "superuser": "v"},
    "chat.Event": {"viewer": "v", "auditor": "v", "operator": "v", "superuser": "v"},
    "chat.Export": {"auditor": "v", "superuser": "v"},
    "chat.Feedback": {"viewer": "v", "auditor": "v", "operator": "v", "superuser": "v"},
    # Lifted by a page of its own, and never changed.
    "chat.LegalHold": {"auditor": "va", "operator": "v", "superuser": "va"},
    "chat.OpenSocket": {"operator": "v", "superuser": "v"},
    "chat.Reading": {"auditor": "v", "superuser": "v"},
    "chat.RetentionRule": {"auditor": "v", "operator": "vacd", "superuser": "vacd"},
    "chat.SavedFilter": {"viewer": "vcd", "auditor": "vcd", "operator": "vcd", "superuser": "vcd"},
    "chat.SiteNotice": {"auditor": "v", "operator": "vacd", "superuser": "vacd"},
    "chat.Run": {"viewer": "v", "auditor": "v", "operator": "v", "superuser": "v"},
}
# Of these, the table is about one's own: nobody may do anything with another's.
OWN = {"chat.Export", "chat.SavedFilter"}


@pytest.fixture
def people(owner: User, staff: User, superuser: User) -> dict[str, User | None]:
    call_command("makegroups", stdout=StringIO())
    found: dict[str, User | None] = {"anonymous": None, "plain": owner, "staff": staff, "superuser": superuser}
    for name in GROUPS:
        member = found[name] = User.objects.create_user(name, is_staff=True)
        member.groups.add(Group.objects.get(name=name))
    return found


@pytest.fixture
def rows(other: User) -> dict[str, Model]:
    """One of each, and none of them of anybody who looks."""
    return one_of_each(other)


def may(model: str, who: str, right: str) -> bool:
    return right[0] in TABLE[model].get(who, "")


def test_every_model_of_the_admin_stands_in_the_table(rows: dict[str, Model]) -> None:
    registered = {model._meta.label for model in admin.site._registry}
    assert registered == TABLE.keys(), "a model in the admin without a row here"
    assert rows.keys() == TABLE.keys()


def test_each_may_what_the_table_says_and_nothing_else(people: dict[str, User | None], rows: dict[str, Model]) -> None:
    for label, row in rows.items():
        model_admin: Any = admin.site._registry[type(row)]
        for who, user in people.items():
            request = RequestFactory().get("/")
            request.user = user or AnonymousUser()
            asked: dict[str, Callable[..., bool]] = {
                right: getattr(model_admin, f"has_{right}_permission") for right in RIGHTS
            }
            found = {right: ask(request) for right, ask in asked.items()}
            assert found == {right: may(label, who, right) for right in RIGHTS}, (label, who)
            of_others = {right: asked[right](request, row) for right in RIGHTS if right != "add"}
            expected = {right: label not in OWN and may(label, who, right) for right in of_others}
            assert of_others == expected, (label, who)


def test_each_may_that_with_what_is_their_own(people: dict[str, User | None]) -> None:
    for who, user in people.items():
        for row in own_rows(user) if user else []:
            model_admin: Any = admin.site._registry[type(row)]
            request = RequestFactory().get("/")
            request.user = user  # type: ignore[assignment] # of the loop's users, it is one
            found = {
                right: getattr(model_admin, f"has_{right}_permission")(request, row)
                for right in ("view", "change", "delete")
            }
            assert found == {right: may(row._meta.label, who, right) for right in found}, (row, who)


def test_each_page_opens_for_whom_the_table_says(people: dict[str, User | None], rows: dict[str, Model]) -> None:
    for who, user in people.items():
        client = client_of(user)
        for label, row in rows.items():
            name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
            pages = {
                "view": [reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[row.pk])],
                "add": [reverse(f"{name}_add")],
                "delete": [reverse(f"{name}_delete", args=[row.pk])],
            }
            for right, addresses in pages.items():
                for address in addresses:
                    answer = client.get(address)
                    if who in ("anonymous", "plain"):
                        assert answer.status_code == 302, (who, address)
                        assert answer["Location"].startswith("/admin/login/"), (who, address)
                    elif label in OWN and str(row.pk) in address:
                        assert answer.status_code in (302, 403, 404), (who, address)
                    else:
                        assert answer.status_code == (200 if may(label, who, right) else 403), (who, address)


def test_nobody_posts_what_they_may_not(people: dict[str, User | None], rows: dict[str, Model]) -> None:
    before = {label: list(type(row)._default_manager.order_by("pk").values()) for label, row in rows.items()}
    for who, user in people.items():
        client = client_of(user)
        token = "t" * 32
        client.cookies["csrftoken"] = token
        for label, row in rows.items():
            name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
            addresses = {
                "change": reverse(f"{name}_change", args=[row.pk]),
                "add": reverse(f"{name}_add"),
                "delete": reverse(f"{name}_delete", args=[row.pk]),
            }
            for right, address in addresses.items():
                if label in OWN or not may(label, who, right):
                    answer = client.post(address, {"post": "yes", "csrfmiddlewaretoken": token})
                    assert answer.status_code in (302, 403, 404), (who, address)
            sent = {
                "action": "delete_selected",
                "_selected_action": row.pk,
                "post": "yes",
                "csrfmiddlewaretoken": token,
            }
            if label in OWN or not may(label, who, "delete"):
                client.post(reverse(f"{name}_changelist"), sent)
    for label, found in before.items():
        # What was read meanwhile is recorded.
        now = list(type(rows[label])._default_manager.order_by("pk").values())[: None if label != "chat.Reading" else 1]
        if label == "auth.User":
            # Somebody was signed in.
            for one in (*found, *now):
                one.pop("last_login")
        assert now == found, label


# --- the groups -------------------------------------------------------------------------------------------------------


def test_the_command_makes_the_groups_once_and_mends_them(db: None) -> None:
    def told() -> str:
        out = StringIO()
        call_command("makegroups", stdout=out)
        return out.getvalue()

    first = told()
    for name, labels in GROUPS.items():
        assert f"Made the group {name}." in first
        group = Group.objects.get(name=name)
        has = {f"{p.content_type.app_label}.{p.codename}" for p in group.permissions.select_related("content_type")}
        assert has == set(labels)
    assert told() == "The groups have all that they need.\n"

    viewer = Group.objects.get(name="viewer")
    extra = Permission.objects.get(codename="view_reading")
    viewer.permissions.add(extra)
    viewer.permissions.remove(Permission.objects.get(codename="view_run"))
    assert told() == "viewer: Can view run.\n"
    assert extra in viewer.permissions.all()


def test_permissions_that_there_are_not_are_said_so(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(GROUPS, "viewer", ("chat.view_nothing",))
    with pytest.raises(CommandError, match=r"chat\.view_nothing"):
        call_command("makegroups", stdout=StringIO())
    assert not Group.objects.exists()


def test_who_reads_private_sessions_is_not_who_erases(db: None) -> None:
    """A hold of an auditor's cannot be lifted by the operator whom it stops."""
    assert "chat.erase_user" not in GROUPS["auditor"]
    assert not {"chat.change_legalhold", "chat.add_legalhold", "chat.read_private"} & set(GROUPS["operator"])
    assert not {"chat.read_private", "chat.export_transcripts"} & set(GROUPS["viewer"])
