"""The admin's lists and searches at a size: a PostgreSQL of its own, filled and measured. `make transcripts-bench` starts it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.parts.postgres_server import PostgresServer

TOP = Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", default="1000000", help="how many events (default: %(default)s)")
    parser.add_argument("--seed", default="1", help="another seed, another history (default: %(default)s)")
    parser.add_argument("--rounds", default="20", help="how often each list is opened (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="glassbox-transcripts-bench-") as folder:
        (Path(folder) / "postgres").mkdir()
        server = PostgresServer(Path(folder) / "postgres", log=Path(folder) / "postgres.log")
        try:
            server.start()
            env = {**os.environ, "DATABASE_URL": server.url, "DATA_DIR": folder, "MODEL": "demo"}

            def manage(*words: str) -> int:
                return subprocess.run([sys.executable, "manage.py", *words], cwd=TOP, env=env, check=False).returncode

            return (
                manage("shell", "-v", "0", "-c", "from reasoning_site.installation import prepare; prepare(print)")
                or manage("filltranscripts", "--steps", given.steps, "--seed", given.seed)
                or manage("measuretranscripts", "--rounds", given.rounds)
            )
        finally:
            server.close()


if __name__ == "__main__":
    sys.exit(main())
