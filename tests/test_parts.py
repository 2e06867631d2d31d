"""The real parts do what tests rely on."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
import redis

from tests.parts import family
from tests.parts.child import Child, DiedEarly
from tests.parts.model_script import (
    Gate,
    Text,
)
from tests.parts.model_server import ModelServer
from tests.parts.postgres_server import PostgresServer
from tests.parts.redis_server import RedisServer
from tests.parts.site_process import NewSite, Site
from tests.parts.socket_client import open_socket, open_tab
from tests.parts.tab import Tab


class TestChild:
    def test_dies_with_a_test_run_that_is_killed(self, tmp_path: Path) -> None:
        run = (
            "import pathlib, time\n"
            "from tests.parts.child import Child\n"
            f"child = Child(['sleep', '600'], log=pathlib.Path({str(tmp_path / 'log')!r}))\n"
            "print(child.pid, flush=True)\n"
            "time.sleep(600)"
        )
        with subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            pid = int(process.stdout.readline())
            os.kill(pid, 0)
            process.kill()
        family.wait_until_gone([pid])

    def test_says_what_a_process_wrote_that_died_early(self, tmp_path: Path) -> None:
        child = Child([sys.executable, "-c", "raise SystemExit('no such luck')"], log=tmp_path / "log")
        with pytest.raises(DiedEarly, match="no such luck"):
            child.wait_until(lambda: False, timeout=10)


class TestRedisServer:
    def test_forgets_everything_in_a_restart_and_keeps_its_port(self, own_redis: RedisServer) -> None:
        with redis.Redis.from_url(own_redis.url) as client:
            client.set("a", "1")
            own_redis.restart()
            assert client.get("a") is None

    def test_answers_nothing_while_it_is_paused(self, own_redis: RedisServer) -> None:
        with redis.Redis.from_url(own_redis.url, socket_timeout=0.1, retry=None) as client:
            own_redis.pause()
            with pytest.raises(redis.exceptions.TimeoutError):
                client.ping()
            own_redis.resume()
            assert client.ping()


class TestPostgresServer:
    def test_keeps_what_was_committed_over_a_kill_and_its_port(self, own_postgres: PostgresServer) -> None:
        own_postgres.query("CREATE TABLE told (number int)")
        for number in range(20):
            own_postgres.query("INSERT INTO told VALUES (%s)", number)
            if number % 5 == 0:
                own_postgres.restart()
        own_postgres.stop()
        with pytest.raises(psycopg.OperationalError):
            own_postgres.query("SELECT 1")
        own_postgres.start()
        assert own_postgres.query("SELECT number FROM told ORDER BY 1") == [{"number": n} for n in range(20)]

    def test_answers_nothing_while_it_is_paused(self, own_postgres: PostgresServer) -> None:
        with psycopg.connect(own_postgres.url, autocommit=True) as connection:
            own_postgres.pause()
            # An old connection has a process of its own, which must be silent, too.
            threading.Timer(0.2, own_postgres.resume).start()
            begun = time.monotonic()
            connection.execute("SELECT 1")
            assert time.monotonic() - begun > 0.15

    def test_copies_a_database(self, postgres_server: PostgresServer) -> None:
        original = postgres_server.new_database()
        original.query("CREATE TABLE told AS SELECT 1 AS number")
        copy = postgres_server.new_database(template=original)
        copy.query("UPDATE told SET number = 2")
        assert (original.query("TABLE told"), copy.query("TABLE told")) == ([{"number": 1}], [{"number": 2}])

    @pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
    def test_dies_with_a_test_run_that_is_killed(self, paused: bool) -> None:
        run = (
            "import time\n"
            "from tests.parts import family\n"
            "from tests.parts.postgres_server import PostgresServer\n"
            "server = PostgresServer()\n"
            "server.start()\n"
            "print(server.folder)\n"
            "print(server.pid, *family.children(server.pid), flush=True)\n"
            f"{'server.pause()' if paused else ''}\n"
            "print(flush=True)\n"
            "time.sleep(600)"
        )
        with subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            folder = process.stdout.readline().strip()
            pids = [int(pid) for pid in process.stdout.readline().split()]
            assert len(pids) > 3
            assert process.stdout.readline() == "\n"
            process.kill()
        try:
            family.wait_until_gone(pids)
        finally:
            shutil.rmtree(folder)


class TestProxy:
    def test_dies_with_a_test_run_that_is_killed(self) -> None:
        run = (
            "import time\n"
            "from tests.parts import family\n"
            "from tests.parts.proxy import Proxy\n"
            "proxy = Proxy([])\n"
            "proxy.start()\n"
            "print(proxy.folder)\n"
            "print(proxy.pid, *family.children(proxy.pid), flush=True)\n"
            "time.sleep(600)"
        )
        with subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            folder = process.stdout.readline().strip()
            pids = [int(pid) for pid in process.stdout.readline().split()]
            assert len(pids) == 2
            process.kill()
        try:
            family.wait_until_gone(pids)
        finally:
            shutil.rmtree(folder)


class TestTab:
    def test_answers_a_gap_with_a_resume_and_drops_what_it_has(self) -> None:
        tab = Tab()
        message = {"type": "message", "seq": 1, "run_id": "r", "data": {}}
        assert tab.apply(message) == tab.apply(message) == []
        assert tab.apply({**message, "seq": 3}) == [{"type": "resume", "after": 1}]
        assert tab.transcript() == [message]

    def test_counts_a_draft_in_utf_16(self) -> None:
        tab = Tab()
        tab.apply({"type": "message", "seq": 1, "run_id": "r", "data": {}})
        tab.apply({"type": "reasoning_start", "seq": 2, "run_id": "r", "data": {"attempt": 1}})
        delta = {"attempt": 1, "call": 1, "step": 1, "type": "thought", "iteration": 1}
        tab.apply({"type": "reasoning_delta", "run_id": "r", "data": {**delta, "offset": 0, "content": "a😀"}})
        tab.apply({"type": "reasoning_delta", "run_id": "r", "data": {**delta, "offset": 1, "content": "😀b"}})
        assert tab.state()["runs"]["r"]["drafts"] == {1: ("thought", "a😀b")}
        asked = tab.apply({"type": "reasoning_delta", "run_id": "r", "data": {**delta, "offset": 9, "content": "z"}})
        assert asked == [{"type": "resume", "after": 2}]


class TestSite:
    async def test_a_tab_follows_a_run_to_what_the_database_says(self, site: Site, model_server: ModelServer) -> None:
        name = model_server.script([Text("Forty"), Gate("middle"), Text("-two.")])
        async with open_tab(site, site.new_user(), "parts-run") as tab:
            run_id = await tab.say(f"script:{name}")
            await model_server.at("middle")
            await tab.until(lambda tab: tab.state()["runs"][run_id]["drafts"] != {})
            model_server.open("middle")
            await tab.until_ended(run_id)
            events = site.events("parts-run")
            assert [frame["seq"] for frame in tab.transcript()] == [event["seq"] for event in events]
            assert {frame["run_id"] for frame in tab.transcript()} == {run_id}
            assert [event["content"] for event in events if event["step_type"] == "final_answer"] == ["Forty-two."]

    async def test_a_tab_goes_to_another_server_when_its_own_is_killed(
        self, new_site: NewSite, own_redis: RedisServer
    ) -> None:
        site = new_site(servers=2, redis=own_redis)
        async with open_tab(site.servers, site.new_user(), "parts-kill") as tab:
            site.servers[0].kill()
            await tab.until_ended(await tab.say("hello"))
            assert site.servers[1].running
            assert not site.servers[0].running

    async def test_a_socket_is_told_when_a_server_is_asked_to_end(self, new_site: NewSite) -> None:
        site = new_site()
        socket = await open_socket(site, site.new_user(), "parts-term")
        assert (await socket.receive())["type"] == "connected"
        code = await asyncio.to_thread(site.servers[0].term)
        assert (code, await socket.closed()) == (0, 1012)

    def test_a_site_that_cannot_start_shows_why(self, new_site: NewSite) -> None:
        with pytest.raises(DiedEarly, match="MAX_ITERATIONS"):
            new_site(MAX_ITERATIONS="many")
