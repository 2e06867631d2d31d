"""A copy of the tree, as somebody who cloned it has it, and what `make` starts there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.parts.child import Child, free_port
from tests.parts.installation import TOP


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tree without what `.gitignore` leaves out, and a `.venv` that is this one with its installation done."""
    ignored = [line.rstrip("/") for line in (TOP / ".gitignore").read_text().splitlines()]
    tree = tmp_path / "tree"
    shutil.copytree(TOP, tree, ignore=shutil.ignore_patterns(".git", *ignored))
    venv = tree / ".venv"
    venv.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    # Newer than the requirements: a clean checkout installs them, and that is what continuous integration begins with.
    for name in ("requirements.stamp", "requirements-dev.stamp"):
        (venv / name).touch()
    return tree


class Make:
    """`make TARGET` for something that runs until Ctrl-C, in a terminal of its own."""

    def __init__(self, target: str, tree: Path, log: Path, **env: str) -> None:
        self.port = free_port()
        self._child = Child(["make", target], log=log, env={"PORT": str(self.port), **env}, cwd=tree)

    def wait_until_it_says(self, pattern: str) -> str:
        self._child.wait_until(lambda: re.search(pattern, self.output, re.MULTILINE) is not None, timeout=60)
        found = re.search(pattern, self.output, re.MULTILINE)
        assert found
        return found[1]

    @property
    def output(self) -> str:
        return self._child.output()

    def interrupt(self) -> None:
        """Ctrl-C: everything in the terminal gets the signal."""
        os.killpg(self._child.pid, signal.SIGINT)
        self._child.process.wait(20)

    def term(self) -> None:
        """As a service manager ends it."""
        os.killpg(self._child.pid, signal.SIGTERM)
        self._child.process.wait(20)

    def close(self) -> None:
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._child.process.wait()


def send_form(client: httpx.Client, url: str, **form: str) -> httpx.Response:
    page = client.get(url)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert token, page.text
    origin = str(client.base_url).rstrip("/")
    return client.post(url, data={**form, "csrfmiddlewaretoken": token[1]}, headers={"Origin": origin})
