"""One installation of the site as tests see it: its people, its pages, its database. What it runs on, others say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from tests.parts import forked
from tests.parts.child import DiedEarly

TOP = Path(__file__).resolve().parents[2]
PASSWORD = "a long pass phrase of the tests"

# Making an installation and hashing a password take seconds; every one of a test run begins as a copy of one that has
# both.
_PREPARE = f"""
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from reasoning_site.installation import prepare
prepare(print)
password = make_password({PASSWORD!r})
people = [("member", 200, {{}}), ("staff", 40, {{"is_staff": True}})]
people.append(("admin", 60, {{"is_staff": True, "is_superuser": True}}))
User.objects.bulk_create(
    User(username=f"{{kind}}-{{number}}", email=f"{{kind}}-{{number}}@example.com", password=password, **more)
    for kind, count, more in people for number in range(1, count + 1)
)
"""


@dataclass(frozen=True)
class User:
    name: str
    password: str = PASSWORD


def prepare(env: Mapping[str, str]) -> None:
    """Make what the site of this environment needs on disk and in the database, and its people."""
    manage({"MODEL": "demo", **env}, "shell", "-c", _PREPARE)


def manage(env: Mapping[str, str], *words: str) -> str:
    """Run `manage.py` in this environment, and return its output. Raises `DiedEarly`, with the output, where it fails."""
    done = forked.run([str(TOP / "manage.py"), *words], env={"PATH": "/usr/bin:/bin", **env}, cwd=TOP)
    if done.returncode:
        raise DiedEarly(f"manage.py {words[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Installation:
    """As a door (`origin`, `cookie`) it is what its people come in by."""

    # What stands for a value in its database's SQL.
    placeholder: str

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = {"PYTHONUNBUFFERED": "1", "MODEL": "demo", **env}
        self._given = {"member": 0, "staff": 0, "admin": 0}
        self._cookies: dict[User, str] = {}

    @property
    def origin(self) -> str:
        """`http://127.0.0.1:PORT`."""
        raise NotImplementedError  # each kind of installation has its own

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the database, beside the site's back."""
        raise NotImplementedError  # each kind of installation has its own

    def manage(self, *words: str) -> str:
        """Run `manage.py` in this installation, and return its output. Raises `DiedEarly`, with the output, where it
        fails.
        """
        return manage(self.env, *words)

    # --- people ---

    def new_user(self, *, staff: bool = False, admin: bool = False) -> User:
        """Someone no other test has been given; `staff` may enter the admin, `admin` may do everything there."""
        kind = "admin" if admin else "staff" if staff else "member"
        self._given[kind] += 1
        return User(f"{kind}-{self._given[kind]}")

    def sign_in(self, user: User, *, origin: str | None = None) -> str:
        """Sign in anew, through the page's own form; returns the `Cookie` header."""
        with httpx.Client(base_url=origin or self.origin, trust_env=False, timeout=20) as client:
            return _sign_in(client, user)

    def cookie(self, user: User) -> str:
        """The `Cookie` header of this user's one login, which is made when it is first asked for."""
        if user not in self._cookies:
            self._cookies[user] = self.sign_in(user)
        return self._cookies[user]

    def client(self, user: User | None = None, **options: Any) -> httpx.Client:
        """An HTTP client, signed in where a user is given. The caller closes it."""
        headers = {} if user is None else {"Cookie": self.cookie(user)}
        return httpx.Client(base_url=self.origin, headers=headers, trust_env=False, timeout=20, **options)

    # --- the database ---

    def events(self, session_id: str) -> list[dict[str, Any]]:
        """The session's rows of the log in order, run ids in the wire's spelling, JSON read."""
        rows = self.query(
            "SELECT chat_event.* FROM chat_event JOIN chat_chatsession session ON session.id = session_id"
            f" WHERE public_id = {self.placeholder} ORDER BY seq",
            session_id,
        )
        return [{**row, "run_id": _run_id(row["run_id"]), "data": _read(row["data"])} for row in rows]

    def runs(self, session_id: str) -> list[dict[str, Any]]:
        """The session's runs in order, ids in the wire's spelling."""
        rows = self.query(
            "SELECT chat_run.* FROM chat_run JOIN chat_chatsession session ON session.id = session_id"
            f" WHERE public_id = {self.placeholder} ORDER BY seq",
            session_id,
        )
        return [{**row, "id": _run_id(row["id"])} for row in rows]


def _sign_in(client: httpx.Client, user: User) -> str:
    page = client.get("/accounts/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token, f"no sign-in form: {page.status_code} {page.text[:500]}"
    form = {"username": user.name, "password": user.password, "csrfmiddlewaretoken": token[1]}
    answer = client.post("/accounts/login/", data=form, headers={"Origin": str(client.base_url).rstrip("/")})
    assert answer.status_code == 302, f"{user.name} could not sign in: {answer.status_code} {answer.text[:500]}"
    return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


def _run_id(stored: str | UUID) -> str:
    """SQLite keeps a UUID as 32 hex digits; the wire has it with dashes."""
    return str(UUID(str(stored)))


def _read(stored: Any) -> Any:
    """SQLite keeps JSON as text; PostgreSQL's driver has read it."""
    return json.loads(stored) if isinstance(stored, str) else stored
