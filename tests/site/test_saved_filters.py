"""Saved filters: lists under a name, as links; their owner's to change, and for whoever may see the list to follow."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from chat.models import SavedFilter
from tests.site.rows import client_of, make_session

HOSTILE = "\"'><script>alert(1)</script>"


@pytest.fixture
def client(superuser: User) -> Client:
    client = Client()
    client.force_login(superuser)
    return client


@pytest.fixture
def viewer(staff: User) -> Client:
    """May see runs, and nothing else."""
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_run", "view_chatsession"]))
    client = Client()
    client.force_login(staff)
    return client


def save(client: Client, name: str = "broken", query: str = "state=failed&user=owner", **more: str) -> int:
    return client.post(
        reverse("admin:chat_savedfilter_save"), {"name": name, "model": "run", "query": query, **more}
    ).status_code


def links(client: Client, name: str = "run") -> dict[str, str]:
    page = client.get(reverse(f"admin:chat_{name}_changelist")).text
    listed = page.partition('aria-label="Saved filters"')[2].partition("</nav>")[0]
    return {
        html.unescape(text): html.unescape(href)
        for href, text in re.findall(r'<li><a href="([^"]+)"[^>]*>([^<]*)<', listed)
    }


def test_a_list_is_saved_as_it_is_and_opened_by_its_link(client: Client, owner: User) -> None:
    make_session(owner)
    address = reverse("admin:chat_run_changelist")
    page = client.get(address, {"state": "completed", "user": "owner", "q": "a b&c", "p": "1"}).text
    form = page.partition('class="save-filter"')[2].partition("</form>")[0]
    hidden = dict(re.findall(r'name="([^"]+)" value="([^"]*)"', form))
    answer = client.post(
        reverse("admin:chat_savedfilter_save"),
        {"name": "mine", "model": hidden["model"], "query": html.unescape(hidden["query"])},
        follow=True,
    )
    assert answer.redirect_chain[-1][0].startswith(f"{address}?")
    assert "Saved as “mine”." in answer.text
    assert links(client) == {"mine": "?state=completed&user=owner&q=a+b%26c"}
    saved = client.get(address + links(client)["mine"])
    assert (saved.context["cl"].query, 'aria-current="page">mine<' in saved.text) == ("a b&c", True)
    assert links(client, "event") == {}


def test_a_name_is_used_once_for_a_list(client: Client) -> None:
    save(client, query="state=failed")
    save(client, query="state=stopped")
    assert links(client) == {"broken": "?state=stopped"}


def test_others_see_what_is_shared_and_change_nothing_of_it(client: Client, viewer: Client, staff: User) -> None:
    save(client, "own")
    save(client, "shared", is_shared="on")
    save(client, "of events", model="event", is_shared="on")
    assert links(viewer) == {"shared": "?state=failed&user=owner"}
    saved = SavedFilter.objects.get(name="shared")
    for page in ("change", "delete", "history"):
        address = reverse(f"admin:chat_savedfilter_{page}", args=[saved.pk])
        assert viewer.get(address).status_code in (302, 403)
        assert viewer.post(address, {"name": "x", "post": "yes"}).status_code in (302, 403)
    viewer.post(
        reverse("admin:chat_savedfilter_changelist"),
        {"action": "delete_selected", "_selected_action": saved.pk, "post": "yes"},
    )
    saved.refresh_from_db()
    assert saved.name == "shared"
    assert "0 saved filters" in viewer.get(reverse("admin:chat_savedfilter_changelist")).text
    save(viewer, "shared", query="state=stopped")
    assert SavedFilter.objects.filter(name="shared").count() == 2


def test_their_owner_renames_shares_and_deletes_them(viewer: Client) -> None:
    save(viewer)
    saved = SavedFilter.objects.get()
    change = reverse("admin:chat_savedfilter_change", args=[saved.pk])
    assert f'href="{change}"' in viewer.get(reverse("admin:chat_run_changelist")).text
    assert viewer.post(change, {"name": "new", "is_shared": "on", "query": "x=1"}).status_code == 302
    saved.refresh_from_db()
    assert (saved.name, saved.is_shared, saved.query) == ("new", True, "state=failed&user=owner")
    assert viewer.post(reverse("admin:chat_savedfilter_delete", args=[saved.pk]), {"post": "yes"}).status_code == 302
    assert not SavedFilter.objects.exists()


def test_only_who_sees_a_list_saves_filters_of_it(viewer: Client, owner: User, client: Client) -> None:
    assert save(viewer, model="event") == 403
    assert save(viewer, model="user") == 403
    assert save(client, model="user") == 403
    assert save(client_of(owner)) == 403
    assert save(Client()) == 302
    assert not SavedFilter.objects.exists()


def test_a_form_without_a_token_or_a_name_saves_nothing(superuser: User, client: Client) -> None:
    strict = client_of(superuser)
    assert save(strict) == 403
    answer = client.post(
        reverse("admin:chat_savedfilter_save"), {"name": "", "model": "run", "query": "x"}, follow=True
    )
    assert "Not saved" in answer.text
    assert save(client, "n" * 200) == 302
    assert not SavedFilter.objects.exists()


def test_what_is_saved_is_never_markup_and_leads_nowhere_else(client: Client) -> None:
    save(client, HOSTILE, query=f'"><script>&q={HOSTILE}&x=javascript:alert(1)')
    save(client, "away", query="//example.org/")
    for name in ("run", "savedfilter"):
        page = client.get(reverse(f"admin:chat_{name}_changelist")).text
        assert "<script>alert" not in page
        assert '"><script>' not in page
    assert all(href.startswith("?") for href in links(client).values())
    assert HOSTILE in links(client)
    page = client.get(reverse("admin:chat_savedfilter_change", args=[SavedFilter.objects.get(name=HOSTILE).pk])).text
    assert "<script>alert" not in page
