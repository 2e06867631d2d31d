"""The real site as real processes: `manage.py serve`, one or several over a DATA_DIR, killed and restarted at will."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.parts.child import Child, DiedEarly, free_port
from tests.parts.model_server import ModelServer
from tests.parts.redis_server import RedisServer

TOP = Path(__file__).resolve().parents[2]
START_SECONDS = 60
PASSWORD = "a long pass phrase of the tests"
DATABASE = "glassbox.sqlite3"

# Making an installation and hashing a password take seconds; every site of a test run begins as a copy of one that has
# both.
_INSTALL = f"""
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from reasoning_site.installation import prepare
prepare(print)
password = make_password({PASSWORD!r})
people = [("member", 200, {{}}), ("staff", 10, {{"is_staff": True}})]
people.append(("admin", 10, {{"is_staff": True, "is_superuser": True}}))
User.objects.bulk_create(
    User(username=f"{{kind}}-{{number}}", email=f"{{kind}}-{{number}}@example.com", password=password, **more)
    for kind, count, more in people for number in range(1, count + 1)
)
"""


@dataclass(frozen=True)
class User:
    name: str
    password: str = PASSWORD


class Server:
    """One process of a site. Keeps its port over restarts."""

    def __init__(self, site: Site, env: Mapping[str, str]) -> None:
        self.site = site
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self._env = dict(env)
        self._log = site.data_dir / f"server-{self.port}.log"
        self._begin()

    def start(self) -> None:
        """Returns when it answers. Raises `DiedEarly`, with its output, where it does not."""
        self._begin()
        self.wait_until_ready()

    def _begin(self) -> None:
        words = [sys.executable, str(TOP / "manage.py"), "serve", "--port", str(self.port)]
        self._child = Child(words, log=self._log, env=self._env, cwd=TOP)

    def wait_until_ready(self) -> None:
        """Returns when it answers. Raises `DiedEarly`, with its output, where it does not."""
        # The line is written once the first request was answered.
        self._child.wait_until(lambda: "Glassbox is at " in self._child.output(), timeout=START_SECONDS)

    @property
    def running(self) -> bool:
        return self._child.running

    @property
    def pid(self) -> int:
        return self._child.pid

    def output(self) -> str:
        """What the present process wrote so far."""
        return self._child.output()

    def cookie(self, user: User) -> str:
        return self.site.cookie(user)

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self._child.kill()

    def term(self) -> int:
        """SIGTERM, and the exit code."""
        return self._child.term()

    def restart(self) -> None:
        """Kill, and start again on the same port."""
        if self.running:
            self.kill()
        self.start()

    def pause(self) -> None:
        """It hangs: connections stay, nothing is answered."""
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._child.signal(signal.SIGCONT)


class Site:
    """One installation and its servers. As a door (`origin`, `cookie`) it is its first server."""

    def __init__(self, template: Path, env: Mapping[str, str]) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="glassbox-site-"))
        shutil.copytree(template, self.data_dir, dirs_exist_ok=True)
        self.env = {"PYTHONUNBUFFERED": "1", "MODEL": "demo", **env, "DATA_DIR": str(self.data_dir)}
        self.servers: list[Server] = []
        self._given = {"member": 0, "staff": 0, "admin": 0}
        self._cookies: dict[User, str] = {}

    # --- processes ---

    def add_server(self, **env: str) -> Server:
        """One more process over the same data; `env` is for it alone. Returns when it answers."""
        return self.add_servers(1, **env)[0]

    def add_servers(self, count: int, **env: str) -> list[Server]:
        """As `add_server`, several at once."""
        added = [Server(self, {**self.env, **env}) for _ in range(count)]
        self.servers += added
        for server in added:
            server.wait_until_ready()
        return added

    @property
    def origin(self) -> str:
        return self.servers[0].origin

    def manage(self, *words: str) -> str:
        """Run `manage.py` in this installation, and return its output. Raises `DiedEarly`, with the output, where it
        fails.
        """
        return _manage(self.env, *words)

    def close(self) -> None:
        for server in self.servers:
            if server.running:
                server.kill()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    # --- people ---

    def new_user(self, *, staff: bool = False, admin: bool = False) -> User:
        """Someone no other test has been given; `staff` may enter the admin, `admin` may do everything there."""
        kind = "admin" if admin else "staff" if staff else "member"
        self._given[kind] += 1
        return User(f"{kind}-{self._given[kind]}")

    def sign_in(self, user: User, *, origin: str | None = None) -> str:
        """Sign in anew, through the page's own form; returns the `Cookie` header."""
        with httpx.Client(base_url=origin or self.origin, trust_env=False, timeout=20) as client:
            return self._sign_in(client, user)

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

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Read the database beside the site's back."""
        address = f"file:{self.data_dir / DATABASE}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

    def events(self, session_id: str) -> list[dict[str, Any]]:
        """The session's rows of the log in order, run ids in the wire's spelling, JSON read."""
        rows = self.query(
            "SELECT chat_event.* FROM chat_event JOIN chat_chatsession session ON session.id = session_id"
            " WHERE public_id = ? ORDER BY seq",
            session_id,
        )
        return [{**row, "run_id": _run_id(row["run_id"]), "data": json.loads(row["data"])} for row in rows]

    def runs(self, session_id: str) -> list[dict[str, Any]]:
        """The session's runs in order, ids in the wire's spelling."""
        rows = self.query(
            "SELECT chat_run.* FROM chat_run JOIN chat_chatsession session ON session.id = session_id"
            " WHERE public_id = ? ORDER BY seq",
            session_id,
        )
        return [{**row, "id": _run_id(row["id"])} for row in rows]

    def _sign_in(self, client: httpx.Client, user: User) -> str:
        page = client.get("/accounts/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, f"no sign-in form: {page.status_code} {page.text[:500]}"
        form = {"username": user.name, "password": user.password, "csrfmiddlewaretoken": token[1]}
        answer = client.post("/accounts/login/", data=form, headers={"Origin": str(client.base_url).rstrip("/")})
        assert answer.status_code == 302, f"{user.name} could not sign in: {answer.status_code} {answer.text[:500]}"
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


def _run_id(stored: str) -> str:
    """SQLite keeps a UUID as 32 hex digits; the wire has it with dashes."""
    return re.sub(r"^(.{8})(.{4})(.{4})(.{4})(.{12})$", r"\1-\2-\3-\4-\5", stored)


def _manage(env: Mapping[str, str], *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(TOP / "manage.py"), *words],
        env={"PATH": "/usr/bin:/bin", **env},
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DiedEarly(f"manage.py {words[0]} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


NewSite = Callable[..., Site]


@pytest.fixture(scope="session")
def site_template() -> Iterator[Path]:
    """A DATA_DIR with database, static files, secret key and people, to begin sites from."""
    with tempfile.TemporaryDirectory(prefix="glassbox-template-") as folder:
        _manage({"DATA_DIR": folder, "MODEL": "demo"}, "shell", "-c", _INSTALL)
        yield Path(folder)


@pytest.fixture(scope="session")
def site(site_template: Path, session_model_server: ModelServer) -> Iterator[Site]:
    """One site with one server, in memory, its model scripted by `model_server`. All tests share it: do not stop it."""
    shared = Site(site_template, session_model_server.environment)
    try:
        shared.add_server()
        yield shared
    finally:
        shared.close()


@pytest.fixture
def new_site(site_template: Path, model_server: ModelServer) -> Iterator[NewSite]:
    """Sites of this test's own: `new_site(servers=2, redis=own_redis, LEASE_SECONDS="1")`.

    Their model is `model_server` unless `MODEL` says otherwise. `bare=True` begins with an empty DATA_DIR.
    """
    sites: list[Site] = []
    with tempfile.TemporaryDirectory(prefix="glassbox-bare-") as empty:

        def make(*, servers: int = 1, redis: RedisServer | None = None, bare: bool = False, **env: str) -> Site:
            layer = {} if redis is None else {"REDIS_URL": redis.url}
            made = Site(Path(empty) if bare else site_template, {**model_server.environment, **layer, **env})
            sites.append(made)
            made.add_servers(servers)
            return made

        try:
            yield make
        finally:
            for made in sites:
                made.close()
