"""What the processes hold when nothing happens: memory, threads, files, connections, jobs. In the end it is what it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.parts.server import Process
from tests.parts.stack import Stack

CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()
"""
JOBS = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
RUNS = "SELECT count(*) FROM chat_run WHERE ended_at IS NULL"
SOCKETS = "SELECT count(*) FROM chat_opensocket"
# Python gives memory back late, and pools keep a few connections for minutes.
MEMORY_FACTOR, MEMORY_BYTES = 1.35, 24 * 2**20
SPARE_THREADS, SPARE_FILES = 16, 16


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds."""

    memory: int
    threads: int
    files: int


@dataclass(frozen=True, slots=True)
class Baseline:
    webs: list[Held]
    workers: list[Held]
    database_connections: int
    redis_connections: int
    jobs: int
    runs: int
    sockets: int

    def short(self) -> str:
        """In one line."""
        held = [
            f"{name} {'/'.join(f'{one.memory >> 20}' for one in these)} MB,"
            f" {'/'.join(str(one.threads) for one in these)} threads, {'/'.join(str(one.files) for one in these)} files"
            for name, these in (("webs", self.webs), ("workers", self.workers))
        ]
        return "; ".join([*held, f"connections: database {self.database_connections}, Redis {self.redis_connections}"])


def measure(stack: Stack) -> Baseline:
    with redis.Redis.from_url(stack.redis.url, socket_timeout=5) as client:
        clients = len(client.client_list()) - 1
    return Baseline(
        webs=[_held(web) for web in stack.webs],
        workers=[_held(worker) for worker in stack.workers],
        database_connections=_count(stack, CONNECTIONS),
        redis_connections=clients,
        jobs=_count(stack, JOBS),
        runs=_count(stack, RUNS),
        sockets=_count(stack, SOCKETS),
    )


def excess(before: Baseline, after: Baseline, *, processes: int, connections: int) -> Iterator[str]:
    """What is held in the end and was not in the beginning. `connections` is how many to the database a process may keep."""
    for name, then, now in (("web server", before.webs, after.webs), ("worker", before.workers, after.workers)):
        memory = max(one.memory for one in then) * MEMORY_FACTOR + MEMORY_BYTES
        threads = max(one.threads for one in then) + SPARE_THREADS
        files = max(one.files for one in then) + SPARE_FILES
        for one in now:
            if one.memory > memory:
                yield f"a {name} has {one.memory >> 20} MB; {memory / 2**20:.0f} MB are allowed"
            if one.threads > threads:
                yield f"a {name} has {one.threads} threads; {threads} are allowed"
            if one.files > files:
                yield f"a {name} has {one.files} files open; {files} are allowed"
    if after.database_connections > max(before.database_connections, processes * connections):
        yield f"{after.database_connections} connections to the database, {before.database_connections} before"
    if after.redis_connections > before.redis_connections + processes:
        yield f"{after.redis_connections} connections to Redis, {before.redis_connections} before"
    for what, count in (("jobs", after.jobs), ("runs", after.runs), ("sockets", after.sockets)):
        if count:
            yield f"{count} {what} are left"


def _held(process: Process) -> Held:
    if not Path("/proc/self/status").exists():
        # Only Linux tells; the connections are counted everywhere.
        return Held(memory=0, threads=0, files=0)
    status = Path(f"/proc/{process.pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return Held(
        memory=int(fields["VmRSS"].split()[0]) * 1024,
        threads=int(fields["Threads"]),
        files=len(list(Path(f"/proc/{process.pid}/fd").iterdir())),
    )


def _count(stack: Stack, sql: str) -> int:
    (row,) = stack.query(sql)
    count: int = row["count"]
    return count
