"""The whole stack as real processes on free ports: PostgreSQL, a Redis, nginx, web servers and workers.

    stack = new_stack(webs=2, workers=2)
    async with open_tab(stack, stack.new_user(), "s-1") as tab:
        stack.workers[0].kill()

As a door (`origin`, `cookie`) it is its proxy; each of its web servers is a door, too.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.parts.installation import Installation, prepare
from tests.parts.made_once import made_once
from tests.parts.model_server import ModelServer
from tests.parts.part import Part
from tests.parts.postgres_server import PostgresServer
from tests.parts.proxy import Proxy
from tests.parts.redis_server import RedisServer
from tests.parts.server import Process, Server, Worker


class Stack(Installation):
    """All of it lies in `folder`: data and logs. Every part is this stack's own, to be killed, paused and restarted."""

    placeholder = "%s"

    def __init__(self, folder: Path, env: Mapping[str, str], *, port: int | None = None, durable: bool = False) -> None:
        self.folder = folder
        self.data_dir = folder / "site"
        self.logs = folder / "logs"
        for made in (self.data_dir, folder / "postgres", self.logs):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.postgres = PostgresServer(folder / "postgres", log=self.logs / "postgres.log", durable=durable)
        self.redis = RedisServer(log=self.logs / "redis.log")
        self.proxy = Proxy([], port=port, log=self.logs / "proxy.log")
        self.webs: list[Server] = []
        self.workers: list[Worker] = []
        self._made = {"web": 0, "worker": 0}
        super().__init__(
            {
                "TRUSTED_PROXIES": "1",
                **env,
                "DATA_DIR": str(self.data_dir),
                "DATABASE_URL": self.postgres.url,
                "REDIS_URL": self.redis.url,
            }
        )

    def start(self, *, webs: int, workers: int) -> None:
        """All parts; returns when the proxy serves what the webs answer and the workers take runs."""
        self.postgres.start()
        self.redis.start()
        self.add(webs=webs, workers=workers)
        self.proxy.start()

    # --- more and fewer ---

    def add_web(self, **env: str) -> Server:
        """One more web server, which the proxy asks from then on; `env` is for it alone."""
        return self.add(webs=1, env=env).webs[-1]

    def add_worker(self, *arguments: str, **env: str) -> Worker:
        """One more worker; the arguments are those of `manage.py agentworker`."""
        return self.add(workers=1, arguments=arguments, env=env).workers[-1]

    def add(
        self, *, webs: int = 0, workers: int = 0, arguments: Sequence[str] = (), env: Mapping[str, str] | None = None
    ) -> Stack:
        """Several at once. Returns when they are ready."""
        env = {**self.env, **(env or {})}
        new_webs = [Server(self, env, log=self._log("web")) for _ in range(webs)]
        new_workers = [Worker(env, log=self._log("worker"), arguments=arguments) for _ in range(workers)]
        self.webs += new_webs
        self.workers += new_workers
        for process in (*new_webs, *new_workers):
            process.wait_until_ready()
        if new_webs:
            self._tell_proxy()
        return self

    def remove(self, process: Process) -> int:
        """Take a web server or a worker out of service, as an operator does; returns its exit code."""
        if isinstance(process, Server):
            self.webs.remove(process)
            self._tell_proxy()
        elif isinstance(process, Worker):
            self.workers.remove(process)
        return process.term()

    def _tell_proxy(self) -> None:
        self.proxy.set_servers([web.port for web in self.webs])

    def _log(self, kind: str) -> Path:
        self._made[kind] += 1
        return self.logs / f"{kind}-{self._made[kind]}.log"

    # --- what an installation has ---

    @property
    def origin(self) -> str:
        return self.proxy.origin

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return self.postgres.query(sql, *values)

    @property
    def processes(self) -> list[Process]:
        """Those of the site's own."""
        return [*self.webs, *self.workers]

    @property
    def parts(self) -> dict[str, Part]:
        """All, by their names, in the order in which they start."""
        # A log has its part's name.
        return {part.log.stem: part for part in (self.postgres, self.redis, *self.processes, self.proxy)}

    def close(self) -> None:
        """Without ceremony. The folder stays."""
        for process in self.processes:
            if process.running:
                process.kill()
        self.proxy.close()
        self.redis.close()
        self.postgres.close()


NewStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def stack_template(site_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack's folder, its database with tables and people, to begin stacks from."""

    def make(folder: Path) -> None:
        shutil.copytree(site_template, folder / "site", ignore=shutil.ignore_patterns("*.sqlite3*"))
        stack = Stack(folder, {})
        try:
            stack.postgres.start()
            prepare(stack.env)
            # Whole on the disk, so that copies need not recover.
            stack.postgres.term()
        finally:
            stack.close()

    return made_once(tmp_path_factory, "stack", make)


@pytest.fixture
def new_stack(stack_template: Path, model_server: ModelServer) -> Iterator[NewStack]:
    """Stacks of this test's own: `new_stack(webs=2, workers=2, LEASE_SECONDS="1")`.

    Their model is `model_server` unless `MODEL` says otherwise.
    """
    stacks: list[Stack] = []
    with tempfile.TemporaryDirectory(prefix="glassbox-stacks-") as folders:

        def make(*, webs: int = 2, workers: int = 2, **env: str) -> Stack:
            folder = Path(folders) / str(len(stacks) + 1)
            shutil.copytree(stack_template, folder)
            made = Stack(folder, {**model_server.environment, **env})
            stacks.append(made)
            made.start(webs=webs, workers=workers)
            return made

        try:
            yield make
        finally:
            for made in stacks:
                made.close()
