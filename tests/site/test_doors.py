"""Every door of the site over HTTP, for everybody who may stand before it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from chat.models import Run
from reasoning_site.first_admin import first_admin_path
from tests.parts.site_process import PASSWORD
from tests.site.rows import client_of, make_session, one_of_each

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Page

SIGN_IN = "/accounts/login/?next="
ADMIN_SIGN_IN = "/admin/login/?next="
NOBODY = "00000000-0000-4000-8000-000000000000"

# What anonymous, owner, other user, staff without permissions and superuser get: a status, or where they are sent.
DOORS: dict[str, tuple[int | str, int | str, int | str, int | str, int | str]] = {
    "/healthz": (200, 200, 200, 200, 200),
    "/readyz": (200, 200, 200, 200, 200),
    # From this machine; `test_metrics.py` has who else.
    "/metrics": (200, 200, 200, 200, 200),
    "/": (SIGN_IN, "/s/", "/s/", "/s/", "/s/"),
    "/s/new/": (SIGN_IN, "/s/", "/s/", "/s/", "/s/"),
    "/s/theirs/": (SIGN_IN, 200, 404, 404, 404),
    "/accounts/login/": (200, 200, 200, 200, 200),
    "/accounts/password_reset/": (200, 200, 200, 200, 200),
    "/accounts/password_change/": (SIGN_IN, 200, 200, 200, 200),
    "/accounts/data/": (SIGN_IN, 200, 200, 200, 200),
    "/accounts/sign-up/": (404, 404, 404, 404, 404),
    "/accounts/first-admin/nonsense/": (410, 410, 410, 410, 410),
    "/admin/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 200, 200),
    "/admin/chat/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 404, 200),
    "/admin/chat/chatsession/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/chatsession/1/change/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/chatsession/1/transcript/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/chatsession/1/transcript/facts/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    # Of which runs, it must be told; `test_transcripts.py` and `test_comparison.py` have those with a run.
    "/admin/chat/run/compare/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 404),
    "/admin/chat/run/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/event/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/dashboard/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/operations/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/operations/now/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    # It takes forms alone: `test_operations.py`.
    f"/admin/operations/runs/{NOBODY}/stop/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 405),
    "/admin/chat/sitenotice/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/export/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/savedfilter/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    # Takes forms alone.
    "/admin/chat/savedfilter/save/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 405, 405),
    "/admin/auth/user/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/chore/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/dailyusage/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/feedback/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/legalhold/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    # For POST alone; `test_holds.py` has for whom.
    "/admin/chat/legalhold/7/lift/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 405),
    "/admin/chat/opensocket/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/reading/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    "/admin/chat/retentionrule/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 200),
    # `test_users.py` has who else.
    "/admin/auth/user/0/take-out/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 404),
    "/admin/auth/user/0/erase/": (ADMIN_SIGN_IN, ADMIN_SIGN_IN, ADMIN_SIGN_IN, 403, 404),
    "/no/such/page": (404, 404, 404, 404, 404),
}

# Beside those of the admin for each model.
PAGES = """
    / /s/s1/ /s/s2/ /s/fresh/ /no/such/page
    /accounts/login/ /accounts/data/ /accounts/first-admin/nonsense/ /accounts/password_change/ /accounts/password_change/done/
    /accounts/password_reset/ /accounts/password_reset/done/ /accounts/reset/x/y/ /accounts/reset/done/
    /admin/ /admin/login/ /admin/chat/ /admin/auth/ /admin/password_change/ /admin/no/such/page
    /admin/chat/chatsession/?q=text /admin/chat/run/?e=1 /admin/dashboard/ /admin/dashboard/?range=nonsense
    /admin/operations/
""".split()


@pytest.mark.parametrize("path", DOORS)
def test_each_door_opens_for_whom_it_should(path: str, owner: User, other: User, staff: User, superuser: User) -> None:
    session = make_session(owner, "theirs")
    for visitor, expected in zip(
        (None, owner, other, staff, superuser), DOORS[path.replace(f"/{session.pk}/", "/1/")], strict=True
    ):
        answer = client_of(visitor).get(path.replace("/1/", f"/{session.pk}/"))
        if isinstance(expected, str):
            assert answer.status_code == 302, visitor
            assert answer["Location"].startswith(expected), visitor
        else:
            assert answer.status_code == expected, visitor


def test_a_session_of_somebody_else_is_answered_as_one_that_does_not_exist(owner: User, other: User) -> None:
    make_session(owner, "theirs")
    client = client_of(other)
    theirs, missing = client.get("/s/theirs/"), client.get("/no/such/page")
    assert theirs.status_code == missing.status_code == 404
    assert _without_tokens(theirs) == _without_tokens(missing)


def test_staff_who_may_view_sessions_see_them_in_the_admin(staff: User, owner: User) -> None:
    session = make_session(owner)
    names = ["view_chatsession", "view_run", "view_event"]
    staff.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = client_of(staff)
    assert client.get(f"/admin/chat/chatsession/{session.pk}/change/").status_code == 200
    assert client.get("/admin/chat/event/").status_code == 200


@pytest.fixture
def pages(owner: User, superuser: User) -> list[Page]:
    """Every page of the site, the admin's for each model included, as the superuser or anonymous sees it."""
    make_session(owner, "s2")
    rows = one_of_each(superuser)
    registered = {model._meta.label for model in admin.site._registry}
    assert rows.keys() == registered, "a model in the admin that this test does not know"
    run = Run.objects.filter(session__owner=superuser).get()
    paths = [*PAGES, *(f"/admin/auth/user/{owner.pk}/{page}/" for page in ("password", "take-out", "erase"))]
    paths += [f"/admin/chat/chatsession/{run.session_id}/transcript/"]
    paths += [f"/admin/chat/run/compare/?left={run.pk}&right={run.pk}"]
    for row in rows.values():
        name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
        paths += [reverse(f"{name}_changelist"), reverse(f"{name}_add")]
        paths += [reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "delete", "history")]
    client = client_of(superuser)
    answers = [client.get(path, follow=True) for path in paths]
    unchecked = Client()
    unchecked.force_login(superuser)
    answers.append(unchecked.post("/admin/chat/run/", {"action": "take_out", "_selected_action": run.pk}))
    # Without a CSRF token: 403.
    answers += [client.post(path, {}) for path in ("/admin/auth/user/add/", "/accounts/logout/")]
    answers += [Client().get(path, follow=True) for path in ("/", "/admin/", "/accounts/login/", "/no/such/page")]
    answers.append(Client(headers={"Host": "example.org"}).get("/"))
    return answers


def test_every_page_has_a_content_security_policy_and_needs_no_exception_from_it(pages: list[Page]) -> None:
    for page in pages:
        where = getattr(page, "request", {}).get("PATH_INFO")
        policy = dict(part.strip().split(" ", 1) for part in page["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'", where
        assert policy["script-src"] == policy["style-src"] == "'self'", where
        assert "unsafe" not in page["Content-Security-Policy"], where
        reader = _Inline()
        reader.feed(page.text)
        assert not reader.found, f"{where} {page.status_code}: {reader.found}"
        assert reader.tags, where


def test_every_page_has_the_other_headers_that_keep_it_apart(pages: list[Page]) -> None:
    for page in pages:
        assert page["Referrer-Policy"] == "same-origin"
        assert page["X-Content-Type-Options"] == "nosniff"
        assert page["X-Frame-Options"] == "DENY"
        assert page["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in page["Permissions-Policy"]


def test_cookies_are_for_this_site_and_not_for_scripts(owner: User) -> None:
    client = Client()
    client.get("/accounts/login/")
    client.force_login(owner)
    assert set(client.cookies) == {"csrftoken", "sessionid"}
    answer = client.get("/accounts/password_change/")
    csrf = answer.cookies["csrftoken"]
    assert csrf["httponly"]
    assert csrf["samesite"] == "Lax"
    signed_in = Client()
    answer = signed_in.post("/accounts/login/", {"username": "owner", "password": PASSWORD})
    login = answer.cookies["sessionid"]
    assert login["httponly"]
    assert login["samesite"] == "Lax"


def test_the_page_that_makes_the_first_admin_is_as_strict(db: None) -> None:
    path = first_admin_path()
    assert path
    page = Client().get(path)
    assert page.status_code == 200
    reader = _Inline()
    reader.feed(page.text)
    assert not reader.found
    assert "unsafe" not in page["Content-Security-Policy"]
    assert page["Referrer-Policy"] == "same-origin"
    assert "no-store" in page["Cache-Control"]


class _Inline(HTMLParser):
    """Finds what the policy forbids: inline scripts, styles and handlers, and anything from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        named = dict(attrs)
        is_data = named.get("type") == "application/json"
        if tag == "style" or "style" in named or (tag == "script" and "src" not in named and not is_data):
            self.found.append(self.get_starttag_text() or tag)
        for name, value in attrs:
            is_handler = name.startswith("on") or (value or "").strip().lower().startswith("javascript:")
            loads = name == "src" or (tag == "link" and name == "href")
            if is_handler or (loads and not (value or "").startswith(("/", "data:image/"))):
                self.found.append(self.get_starttag_text() or tag)


def _without_tokens(page: Page) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", page.text)
