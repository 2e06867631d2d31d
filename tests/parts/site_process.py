"""The real site as real processes: `manage.py serve`, one or several over a DATA_DIR, killed and restarted at will."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.parts.installation import PASSWORD, TOP, Installation, User, prepare
from tests.parts.made_once import made_once
from tests.parts.model_server import ModelServer
from tests.parts.redis_server import RedisServer
from tests.parts.server import Server

__all__ = ["PASSWORD", "TOP", "NewSite", "Server", "Site", "User"]

DATABASE = "glassbox.sqlite3"


class Site(Installation):
    """One installation on SQLite and its servers. As a door (`origin`, `cookie`) it is its first server."""

    placeholder = "?"

    def __init__(self, template: Path, env: Mapping[str, str]) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="glassbox-site-"))
        shutil.copytree(template, self.data_dir, dirs_exist_ok=True)
        super().__init__({**env, "DATA_DIR": str(self.data_dir)})
        self.servers: list[Server] = []

    def add_server(self, **env: str) -> Server:
        """One more process over the same data; `env` is for it alone. Returns when it answers."""
        return self.add_servers(1, **env)[0]

    def add_servers(self, count: int, **env: str) -> list[Server]:
        """As `add_server`, several at once."""
        numbers = range(len(self.servers) + 1, len(self.servers) + count + 1)
        added = [Server(self, {**self.env, **env}, log=self.data_dir / f"server-{number}.log") for number in numbers]
        self.servers += added
        for server in added:
            server.wait_until_ready()
        return added

    @property
    def origin(self) -> str:
        return self.servers[0].origin

    def close(self) -> None:
        for server in self.servers:
            if server.running:
                server.kill()
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Read the database beside the site's back."""
        address = f"file:{self.data_dir / DATABASE}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()


NewSite = Callable[..., Site]
TemplateWith = Callable[[str, Callable[[Mapping[str, str]], None]], Path]


@pytest.fixture(scope="session")
def site_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DATA_DIR with database, static files, secret key and people, to begin sites from."""
    return made_once(tmp_path_factory, "site", lambda folder: prepare({"DATA_DIR": str(folder)}))


@pytest.fixture(scope="session")
def template_with(site_template: Path, tmp_path_factory: pytest.TempPathFactory) -> TemplateWith:
    """A template with more in it: `template_with("name", fill)`, where `fill` is given the environment of the site to be filled."""

    def make(name: str, fill: Callable[[Mapping[str, str]], None]) -> Path:
        def filled(folder: Path) -> None:
            shutil.copytree(site_template, folder, dirs_exist_ok=True)
            fill({"DATA_DIR": str(folder), "MODEL": "demo"})

        return made_once(tmp_path_factory, f"site-{name}", filled)

    return make


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

    Their model is `model_server` unless `MODEL` says otherwise. `bare=True` begins with an empty DATA_DIR, `like` as a copy of
    another than `site_template`.
    """
    sites: list[Site] = []
    with tempfile.TemporaryDirectory(prefix="glassbox-bare-") as empty:

        def make(
            *,
            servers: int = 1,
            redis: RedisServer | None = None,
            bare: bool = False,
            like: Path = site_template,
            **env: str,
        ) -> Site:
            layer = {} if redis is None else {"REDIS_URL": redis.url}
            made = Site(Path(empty) if bare else like, {**model_server.environment, **layer, **env})
            sites.append(made)
            made.add_servers(servers)
            return made

        try:
            yield make
        finally:
            for made in sites:
                made.close()
