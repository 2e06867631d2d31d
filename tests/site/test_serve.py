"""`manage.py serve`, as `make run` calls it: real processes in empty directories."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import websockets

from chat.protocol import Close
from tests.parts.child import Child, free_port
from tests.parts.site_process import PASSWORD, TOP, NewSite, Site
from tests.parts.socket_client import open_socket

PREPARING = ["Bringing the database up to date …", "Collecting the static files …"]

Serve = Callable[..., Child]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Does not exist yet."""
    return tmp_path / "some" / "where"


@pytest.fixture
def serve(tmp_path: Path, data_dir: Path) -> Iterator[Serve]:
    """Start `manage.py serve` on a free port and return when it says where it is."""
    started: list[Child] = []

    def start(*words: str, **env: str) -> Child:
        command = [sys.executable, str(TOP / "manage.py"), "serve", "--port", "0", *words]
        environment = {"DATA_DIR": str(data_dir), "MODEL": "demo", **env}
        child = Child(command, log=tmp_path / "log", env=environment, cwd=TOP)
        started.append(child)
        child.wait_until(lambda: "(Ctrl-C stops it)" in child.output(), timeout=60)
        return child

    yield start
    for child in started:
        if child.running:
            child.kill()


def manage(data_dir: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(data_dir), "MODEL": "demo", **env}
    command = [sys.executable, str(TOP / "manage.py"), *words]
    return subprocess.run(command, env=environment, cwd=TOP, capture_output=True, text=True, check=False)


def address_of(child: Child) -> str:
    found = re.search(r"Glassbox is at (\S+)/ ", child.output())
    assert found, child.output()
    return found[1]


def link_of(child: Child) -> str:
    child.wait_until(lambda: "/accounts/first-admin/" in child.output(), timeout=20)
    found = re.search(r"^  (http\S+/)$", child.output(), re.MULTILINE)
    assert found, child.output()
    return found[1]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fill_in(client: httpx.Client, url: str, **form: str) -> httpx.Response:
    """Open the page and send its form, as a browser does."""
    page = client.get(url, follow_redirects=True)
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    assert found, page.text
    origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
    return client.post(page.url, data={**form, "csrfmiddlewaretoken": found[1]}, headers={"Origin": origin})


def test_first_and_second_start(serve: Serve, data_dir: Path) -> None:
    first = serve()
    link = link_of(first)
    address = address_of(first)
    assert first.output().splitlines()[:2] == PREPARING
    assert link.startswith(address)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)

    assert mode_of(data_dir) == 0o700
    assert mode_of(data_dir / "secret_key") == 0o600
    assert mode_of(data_dir / "glassbox.sqlite3") == 0o600
    key = (data_dir / "secret_key").read_text()

    with httpx.Client(base_url=address, trust_env=False, timeout=20) as client:
        sent_away = client.get("/")
        assert sent_away.headers["Location"].startswith("/accounts/login/")
        assert "Server" not in sent_away.headers
        made = fill_in(client, link, username="ada", password1=PASSWORD, password2=PASSWORD)
        assert made.headers["Location"] == "/"
        assert client.get("/", follow_redirects=True).status_code == 200
        assert client.get("/admin/").status_code == 200
        assert client.get(link).status_code == 410

    assert first.term() == 0
    assert first.output().splitlines()[-1] == "Stopped."

    second = serve()
    with httpx.Client(base_url=address_of(second), trust_env=False, timeout=20) as client:
        assert fill_in(client, "/accounts/login/", username="ada", password=PASSWORD).status_code == 302
        assert client.get("/admin/").status_code == 200
    second.signal(signal.SIGINT)
    assert second.process.wait(20) == 0
    # Nothing was made anew, nobody is invited any more, and nothing else was said.
    assert second.output().splitlines() == [f"Glassbox is at {address_of(second)}/ (Ctrl-C stops it)", "Stopped."]
    assert (data_dir / "secret_key").read_text() == key


def test_where_nothing_is_missing_nothing_is_written(site_template: Path, tmp_path: Path) -> None:
    """So it starts in a container too, whose file system may be read-only."""
    data_dir = shutil.copytree(site_template, tmp_path / "data")
    (data_dir / "prepare.lock").unlink()
    before = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*") if "sqlite3" not in path.name}
    code = "from reasoning_site.installation import prepare; prepare(print)"
    done = manage(data_dir, "shell", "--verbosity", "0", "--command", code)
    assert done.stdout == ""
    after = {path: path.stat().st_mtime_ns for path in data_dir.rglob("*") if "sqlite3" not in path.name}
    changed = {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed <= {data_dir.name}


def test_behind_a_proxy_it_tells_the_proxys_port(serve: Serve) -> None:
    started = serve("--public-port", "9999")
    assert address_of(started) == "http://127.0.0.1:9999"
    assert link_of(started).startswith("http://127.0.0.1:9999/accounts/first-admin/")


def test_several_that_start_at_once_in_an_empty_directory_share_the_work(new_site: NewSite) -> None:
    site = new_site(bare=True, servers=2)
    outputs = [server.output() for server in site.servers]
    for line in PREPARING:
        assert sum(output.count(line) for output in outputs) == 1
    assert "Traceback" not in "".join(outputs)
    link = link_of(site.servers[0]._child)
    path = link.removeprefix(site.servers[0].origin)
    # One key for both: a link of the one opens at the other.
    assert httpx.get(site.servers[1].origin + path, trust_env=False).status_code == 200


def test_a_taken_port_is_refused_in_a_sentence_before_anything_is_made(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = manage(data_dir, "serve", PORT=str(port))
    assert done.returncode == 1
    assert f"Cannot listen on port {port} of 127.0.0.1: another program uses it." in done.stderr
    assert f"PORT={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (data_dir / "glassbox.sqlite3").exists()


@pytest.mark.parametrize(("option", "value"), [("--port", "70000"), ("--host", "no.such.host.invalid")])
def test_an_address_that_cannot_be_is_refused_in_a_sentence(option: str, value: str, data_dir: Path) -> None:
    done = manage(data_dir, "serve", option, value)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: ")
    assert len(done.stderr.splitlines()) == 1
    assert value in done.stderr


async def test_on_sigterm_every_socket_is_told_to_come_back_also_while_an_agent_thinks(new_site: NewSite) -> None:
    site = new_site(MODEL="demo", DEMO_TOKEN_SECONDS="1")
    server = site.servers[0]
    sockets = [await open_socket(server, site.new_user(), f"leaving-{number}") for number in range(2)]
    await sockets[0].chat("Think for a while, please.")
    await sockets[0].receive_until("reasoning_start")
    assert await asyncio.to_thread(server.term) == 0
    for each in sockets:
        assert await each.closed() == Close.RESTART
    assert server.output().splitlines() == [f"Glassbox is at {server.origin}/ (Ctrl-C stops it)", "Stopped."]


async def test_a_message_that_no_frame_can_be_is_not_read_to_its_end(site: Site) -> None:
    user = site.new_user()
    url = site.origin.replace("http", "ws") + "/ws/chat/too-long"
    async with websockets.connect(url, additional_headers={"Cookie": site.cookie(user)}, max_size=None) as connection:
        await connection.recv()
        await connection.send("x" * (128 * 1024 + 1))
        await connection.wait_closed()
        # The reason, or nothing: Daphne does not wait for the rest, and so may drop the connection before it is read.
        assert connection.close_code in (1009, 1006)


def test_behind_https_pages_are_redirected_and_health_is_not(serve: Serve) -> None:
    port = free_port()
    child = serve("--port", str(port), HTTPS="1", ALLOWED_HOSTS="chat.example.org")
    found = re.search(r"Glassbox is at (\S+)", child.output())
    assert found
    assert found[1] == "https://chat.example.org/"
    host = {"Host": "chat.example.org"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=host, trust_env=False, timeout=20) as client:
        assert client.get("/").headers["Location"] == "https://chat.example.org/"
        assert client.get("/healthz").text == "ok"
        assert client.get("/readyz").json()["status"] == "ok"
        secure = client.get("/accounts/login/", headers={"X-Forwarded-Proto": "https"})
        assert secure.status_code == 200
        assert "max-age=31536000" in secure.headers["Strict-Transport-Security"]
        assert "Secure" in secure.headers["Set-Cookie"]


def test_after_the_set_up_djangos_commands_work_as_ever(site_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(site_template, tmp_path / "data")
    assert "No migrations to apply" in manage(data_dir, "migrate").stdout
    person = {"DJANGO_SUPERUSER_USERNAME": "ada", "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    person["DJANGO_SUPERUSER_EMAIL"] = "ada@example.org"
    assert manage(data_dir, "createsuperuser", "--noinput", **person).returncode == 0


@pytest.mark.parametrize("debug", ["0", "1"])
def test_runserver_serves_pages_and_static_files(debug: str, site_template: Path, tmp_path: Path) -> None:
    data_dir = shutil.copytree(site_template, tmp_path / "data")
    port = free_port()
    command = [sys.executable, str(TOP / "manage.py"), "runserver", "--noreload", str(port)]
    env = {"DATA_DIR": str(data_dir), "DEBUG": debug, "MODEL": "demo", "PYTHONUNBUFFERED": "1"}
    child = Child(command, log=tmp_path / "runserver", env=env, cwd=TOP)
    try:
        child.wait_until(partial(answers, port), timeout=50)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=20) as client:
            assert fill_in(client, "/accounts/login/", username="admin-1", password=PASSWORD).status_code == 302
            page = client.get("/accounts/login/")
            style = re.search(r'<link rel="stylesheet" href="([^"]+)"', page.text)
            assert style
            assert client.get(style[1]).status_code == 200
        assert "HTTP POST /accounts/login/ 302" in child.output()
        assert "Warning" not in child.output()
    finally:
        child.kill()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
