"""What health checks ask: `python -m reasoning_site.probe` of a web server, a file's age of a worker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reasoning_site import pulse
from reasoning_site.probe import host_among
from tests.parts.child import free_port
from tests.parts.site_process import TOP, NewSite


def probe(port: int, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reasoning_site.probe", str(port)],
        env={"PATH": os.environ["PATH"], **env},
        cwd=TOP,
        capture_output=True,
        text=True,
    )


def test_it_ends_well_where_the_server_answers_and_only_there(new_site: NewSite) -> None:
    allowed = ".example.org,localhost"
    site = new_site(ALLOWED_HOSTS=allowed)
    done = probe(site.servers[0].port, ALLOWED_HOSTS=allowed)
    assert (done.returncode, done.stderr) == (0, "")
    refused = probe(site.servers[0].port, ALLOWED_HOSTS="other.example.com")
    assert refused.returncode == 1
    assert "400" in refused.stderr
    nobody = probe(free_port())
    assert nobody.returncode == 1
    assert "no answer" in nobody.stderr


@pytest.mark.parametrize(
    ("allowed", "host"),
    [([], "localhost"), (["*"], "localhost"), ([".example.org"], "example.org"), (["a.org", "b.org"], "a.org")],
)
def test_it_asks_by_a_name_that_the_site_answers_to(allowed: list[str], host: str) -> None:
    assert host_among(allowed) == host


async def test_the_pulse_is_new_for_as_long_as_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "SECONDS", 0)
    path = tmp_path / "pulse"
    beating = asyncio.create_task(pulse.beat(path))
    await turns()
    os.utime(path, (0, 0))
    await turns()
    assert path.stat().st_mtime > 0
    beating.cancel()
    await asyncio.wait([beating])
    os.utime(path, (0, 0))
    await turns()
    assert path.stat().st_mtime == 0


async def turns() -> None:
    """Let the event loop turn a few times."""
    for _ in range(3):
        await asyncio.sleep(0)
