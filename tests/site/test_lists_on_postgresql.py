"""The lists on PostgreSQL, with its full text search: the tests of three files once more, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.parts.installation import TOP
from tests.parts.postgres_server import PostgresServer

TESTS = [f"tests/site/test_{name}.py" for name in ("filters", "lists", "search")]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_all_of_it_holds_on_postgresql(postgres_server: PostgresServer) -> None:
    database = postgres_server.new_database()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS],
        env={**os.environ, "PYTEST_DATABASE_URL": database.url, "PYTEST_ADDOPTS": ""},
        cwd=TOP,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    assert " passed" in done.stdout
    assert " skipped" not in done.stdout
