"""`make stack` leads to a site of many processes, keeps its data, starts what dies again, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.parts import family
from tests.parts.checkout import Make, send_form
from tests.parts.installation import PASSWORD

PARTS = ["postgres", "redis", "web-1", "web-2", "worker-1", "proxy"]


def pids(make: Make) -> dict[str, int]:
    """Each part's, as it says."""
    make.wait_until_it_says(r"^(Glassbox is at .*)$")
    listed = re.findall(r"^  ([\w-]+) +(\d+)  var/stack/logs/\1\.log$", make.output, re.MULTILINE)
    return {name: int(pid) for name, pid in listed}


def assert_gone(numbers: list[int]) -> None:
    deadline = time.monotonic() + 5
    while left := [pid for pid in numbers if family.is_alive(pid)]:
        assert time.monotonic() < deadline, f"{left} were left behind"
        time.sleep(0.01)


@pytest.mark.long
def test_make_stack_leads_to_the_first_admin_and_keeps_its_data(copy: Path, tmp_path: Path) -> None:
    """What dies in between is started again. The second start has the same accounts, and ends by SIGTERM as by Ctrl-C."""
    first = Make("stack", copy, tmp_path / "first", WORKERS="1")
    try:
        link = first.wait_until_it_says(r"^  (http://\S+/accounts/first-admin/\S+)$")
        address = first.wait_until_it_says(r"^Glassbox is at (\S+)/ ")
        assert address == f"http://127.0.0.1:{first.port}"
        running = pids(first)
        assert list(running) == PARTS
        with httpx.Client(base_url=address, trust_env=False, timeout=20, follow_redirects=True) as client:
            page = send_form(client, link, username="ada", password1=PASSWORD, password2=PASSWORD)
            assert "Watch an agent think" in page.text
            os.kill(running["web-1"], signal.SIGKILL)
            assert client.get("/").status_code == 200
        again = int(first.wait_until_it_says(r"^web-1 starts again, with pid (\d+)\.$"))
        assert "web-1 was killed by SIGKILL. The end of its log, var/stack/logs/web-1.log:\n  | " in first.output
        others = [child for pid in running.values() for child in family.children(pid)]
        first.interrupt()
        assert "\nStopped.\n" in first.output
        assert_gone([again, *running.values(), *others])
    finally:
        first.close()

    second = Make("stack", copy, tmp_path / "second", WORKERS="1", WEBS="1")
    try:
        address = second.wait_until_it_says(r"^Glassbox is at (\S+)/ ")
        running = pids(second)
        assert list(running) == [name for name in PARTS if name != "web-2"]
        with httpx.Client(base_url=address, trust_env=False, timeout=20, follow_redirects=True) as client:
            page = send_form(client, "/accounts/login/", username="ada", password=PASSWORD)
            assert "Watch an agent think" in page.text
        third = Make("stack", copy, tmp_path / "third")
        third.wait_until_it_says(r"^(Another stack runs on .*)$")
        third.close()
        second.term()
        assert "\nStopped.\n" in second.output
        assert_gone(list(running.values()))
        assert "first-admin" not in second.output
    finally:
        second.close()
