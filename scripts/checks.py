"""Run the project's checks, part by part, and end with every runner's own count.

`python -m scripts.checks` runs all of them; `python -m scripts.checks lint types` runs the named ones. A part that
fails does not keep the later ones from running; the exit code is 1 if any failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.node import is_installed, mark_installed, with_node

TOP = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
TESTS_AT_ONCE = 3
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Failed(Exception):
    """A command ended with an error; its output stands above."""


@dataclass(frozen=True, slots=True)
class Outcome:
    name: str
    passed: bool
    seconds: float
    closing: str


def say(text: str) -> None:
    print(text, flush=True)


def command(*words: str, environment: dict[str, str], counts: str = "") -> str:
    """Run one command, its output passed on as it comes. Returns its last line, or the lines that match `counts`."""
    say(f"$ {' '.join(words)}")
    lines: list[str] = []
    with subprocess.Popen(
        words, cwd=TOP, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None  # noqa: S101  (for the type checker; a pipe was asked for)
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            plain = ESCAPES.sub("", line).strip()
            if plain and (not counts or re.search(counts, plain)):
                lines = [*lines, plain] if counts else [plain]
    closing = ", ".join(lines).strip("= ")
    if process.returncode:
        raise Failed(closing or f"ended with {process.returncode}")
    return closing


def install_packages(folder: Path, environment: dict[str, str]) -> None:
    """`npm ci` in the folder, when its lock file is another one than at the last time."""
    if not is_installed(folder):
        command("npm", "ci", "--prefix", str(folder), "--no-fund", "--no-audit", environment=environment)
        mark_installed(folder)


def lint(environment: dict[str, str]) -> str:
    return command(PYTHON, "-m", "ruff", "check", ".", environment=environment)


def layout(environment: dict[str, str]) -> str:
    return command(PYTHON, "-m", "ruff", "format", "--check", ".", environment=environment)


def eslint(environment: dict[str, str]) -> str:
    environment = with_node(environment)
    install_packages(TOP, environment)
    return command("npm", "run", "--silent", "lint", environment=environment) or "All checks passed!"


def types(environment: dict[str, str]) -> str:
    return command(PYTHON, "-m", "mypy", environment=environment)


def migrations(environment: dict[str, str]) -> str:
    return command(PYTHON, "manage.py", "makemigrations", "--check", "--dry-run", environment=environment)


def javascript(environment: dict[str, str]) -> str:
    environment = with_node(environment)
    install_packages(TOP, environment)
    files = sorted(str(path.relative_to(TOP)) for path in (TOP / "tests" / "js").rglob("*.test.*js"))
    return command(
        "node",
        "--test",
        "--test-reporter=spec",
        *files,
        environment=environment,
        counts=r"^(. |# )?(tests|pass|fail) \d+$",
    )


def pytest(*words: str, environment: dict[str, str]) -> str:
    """Several at a time: most tests wait for servers most of the time. One by one, so that no long one waits behind another."""
    beside = ("-n", str(TESTS_AT_ONCE), "--maxschedchunk", "1")
    return command(PYTHON, "-m", "pytest", *beside, *words, environment=environment, counts=r"^=+ .* in .*=+$")


def python_tests(environment: dict[str, str]) -> str:
    return pytest("--ignore=tests/browser", environment=environment)


def browser_tests(environment: dict[str, str]) -> str:
    environment = with_node(environment)
    command(PYTHON, "-m", "tests.parts.chromium", environment=environment)
    return pytest("tests/browser", environment=environment)


def vendor(environment: dict[str, str]) -> str:
    environment = with_node(environment)
    install_packages(TOP, environment)
    return command("npm", "run", "--silent", "vendor", environment=environment)


CHECKS: dict[str, Callable[[dict[str, str]], str]] = {
    "lint": lint,
    "format": layout,
    "eslint": eslint,
    "types": types,
    "migrations": migrations,
    "javascript": javascript,
    "python": python_tests,
    "browser": browser_tests,
}
ON_REQUEST: dict[str, Callable[[dict[str, str]], str]] = {"vendor": vendor}


def run(name: str, check: Callable[[dict[str, str]], str], environment: dict[str, str]) -> Outcome:
    say(f"\n== {name} ==")
    begun = time.monotonic()
    try:
        closing, passed = check(environment), True
    except Failed as failure:
        closing, passed = str(failure), False
    return Outcome(name, passed, time.monotonic() - begun, closing)


def main(names: list[str]) -> int:
    known = CHECKS | ON_REQUEST
    if unknown := [name for name in names if name not in known]:
        say(f"No such check: {', '.join(unknown)}. There are: {', '.join(known)}.")
        return 2
    begun = time.monotonic()
    # Settings keep a secret key in DATA_DIR when they are read: a check leaves no trace in the developer's own.
    with tempfile.TemporaryDirectory(prefix="glassbox-checks-") as data_dir:
        environment = {**os.environ, "DATA_DIR": data_dir, "PYTHONUNBUFFERED": "1"}
        outcomes = [run(name, known[name], environment) for name in names or CHECKS]
    passed = all(outcome.passed for outcome in outcomes)
    say(f"\n== {'passed' if passed else 'FAILED'} in {time.monotonic() - begun:.0f} s ==")
    for outcome in outcomes:
        say(f"{'ok  ' if outcome.passed else 'FAIL'} {outcome.name:<11}{outcome.seconds:5.0f} s  {outcome.closing}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
