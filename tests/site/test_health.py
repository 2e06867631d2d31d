"""`/healthz` answers for the process alone, `/readyz` for the database and the channel layer too."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from reasoning_site import health
from tests.parts.child import free_port
from tests.parts.redis_server import RedisServer
from tests.parts.site_process import DATABASE, NewSite, Site


def test_health_asks_nobody(settings: Settings) -> None:
    # Without the `db` fixture any question to the database is an error.
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok")
    assert answer["Content-Type"].startswith("text/plain")
    assert "no-store" in answer["Cache-Control"]
    assert Client().post("/healthz").status_code == 405


def test_a_database_that_hangs_is_reported_within_the_time_out(
    db: None, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.READY_SECONDS = 0.05
    release = threading.Event()
    monkeypatch.setattr(health, "_ask_database", release.wait)
    try:
        # More questions than there are threads for them: none of them waits for those before it.
        for _ in range(4):
            answer = Client().get("/readyz")
            assert answer.status_code == 503
            assert answer.json() == {
                "status": "unavailable",
                "database": "no answer within 0.05 s",
                "channel_layer": "ok",
            }
    finally:
        release.set()
    monkeypatch.undo()
    assert Client().get("/healthz").status_code == 200


def test_a_site_is_ready_with_and_without_redis(site: Site, new_site: NewSite, redis_server: RedisServer) -> None:
    ready = {"status": "ok", "database": "ok", "channel_layer": "ok"}
    for each in (site, new_site(redis=redis_server)):
        with each.client() as client:
            assert client.get("/readyz").json() == ready


def test_without_redis_or_tables_the_site_says_what_is_wrong_and_stays_up(new_site: NewSite) -> None:
    broken = new_site(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    with contextlib.closing(sqlite3.connect(broken.data_dir / DATABASE)) as database:
        database.execute("ALTER TABLE chat_chatsession RENAME TO gone")
    with broken.client() as client:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert client.get("/healthz").text == "ok"
    assert answer.json() == {
        "status": "unavailable",
        "database": "OperationalError",
        "channel_layer": "ConnectionError",
    }
