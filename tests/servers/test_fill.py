"""`filltranscripts` makes a history that could have happened; `measuretranscripts` opens every list of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.parts.child import DiedEarly
from tests.parts.installation import manage
from tests.parts.postgres_server import Database

COUNTS = (
    "SELECT count(*) AS events, count(DISTINCT run_id) AS runs, count(DISTINCT session_id) AS sessions FROM chat_event"
)

FAILED = "SELECT count(*) FROM chat_event WHERE run_id = r.id AND data->'is_error' = 'true'"


@pytest.fixture
def env(site_database: Database, tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": site_database.url,
        "DATA_DIR": str(tmp_path),
        "MODEL": "demo",
        # Static files from where they lie.
        "DEBUG": "1",
    }


@pytest.mark.long
def test_a_filled_database_holds_together_and_every_list_of_it_opens(env: dict[str, str]) -> None:
    database = Database(env["DATABASE_URL"])
    said = manage(env, "filltranscripts", "--steps", "900", "--users", "20", "--seed", "7")
    assert re.search(r"9\d\d of 900 steps", said)
    before = database.query(COUNTS)[0]
    assert 900 <= before["events"] < 1000
    assert before["sessions"] > 8
    for wrong in (
        "SELECT 1 FROM chat_chatsession s WHERE head <> (SELECT max(seq) FROM chat_event WHERE session_id = s.id)",
        "SELECT 1 FROM chat_chatsession s WHERE head <> (SELECT count(*) FROM chat_event WHERE session_id = s.id)",
        "SELECT 1 FROM chat_run r WHERE input_tokens <> (SELECT sum(input_tokens) FROM chat_event WHERE run_id = r.id)",
        "SELECT 1 FROM chat_run r WHERE abs(cost - (SELECT sum(cost) FROM chat_event WHERE run_id = r.id)) > 0.000001",
        "SELECT 1 FROM chat_run r WHERE NOT EXISTS (SELECT FROM chat_event WHERE run_id = r.id AND type = 'run_end')",
        f"SELECT 1 FROM chat_run r WHERE tool_errors <> ({FAILED})",
        "SELECT 1 FROM chat_event WHERE created_at > now()",
        "SELECT 1 FROM auth_user WHERE password NOT LIKE '!%'",
    ):
        assert database.query(wrong) == [], wrong
    used = "SELECT sum(input_tokens) AS tokens FROM"
    assert database.query(f"{used} chat_dailyusage") == database.query(f"{used} chat_run")
    assert database.query("SELECT 1 FROM pg_indexes WHERE indexname = 'event_searched'")
    # More of it goes beside what is there.
    manage(env, "filltranscripts", "--steps", "200", "--users", "20", "--seed", "8")
    assert database.query(COUNTS)[0]["events"] >= before["events"] + 200
    measured = manage(env, "measuretranscripts", "--rounds", "2", "--patience", "100")
    lines = [line for line in measured.splitlines() if line.startswith("measuring-")]
    assert {line.split(":")[0] for line in lines} == {
        *(f"measuring-{who} {name}" for who in ("all", "viewer") for name in ("sessions", "runs", "events")),
        "measuring-all pages",
    }
    assert any("a word in most steps" in line for line in lines)
    assert database.query("SELECT 1 FROM auth_user WHERE username LIKE 'measuring-%%'") == []


def test_one_seed_makes_one_history(env: dict[str, str], tmp_path: Path) -> None:
    texts = "SELECT md5(string_agg(content, '' ORDER BY id)) AS texts FROM chat_event"
    said = []
    for number in range(2):
        manage(env, "filltranscripts", "--steps", "300", "--seed", "3")
        said.append(Database(env["DATABASE_URL"]).query(texts))
        if number == 0:
            manage(env, "flush", "--no-input", "-v", "0")
    assert said[0] == said[1]


def test_a_database_of_one_file_is_filled_as_well(tmp_path: Path) -> None:
    env = {"DATA_DIR": str(tmp_path), "MODEL": "demo", "DEBUG": "1"}
    manage(env, "migrate", "-v", "0")
    manage(env, "filltranscripts", "--steps", "300")
    assert "measuring-viewer events: all" in manage(
        env, "measuretranscripts", "--rounds", "2", "--patience", "100", "--only", ": all"
    )


def test_there_must_be_something_to_measure(env: dict[str, str]) -> None:
    with pytest.raises(DiedEarly, match="filltranscripts"):
        manage(env, "measuretranscripts")


def test_the_words_can_be_taken_back(env: dict[str, str]) -> None:
    """The migration goes back and forth with rows in the table."""
    manage(env, "filltranscripts", "--steps", "50")
    database = Database(env["DATABASE_URL"])
    columns = "SELECT 1 FROM information_schema.columns WHERE table_name = 'chat_event' AND column_name = 'searched'"
    manage(env, "migrate", "chat", "0003", "-v", "0")
    assert database.query(columns) == []
    manage(env, "migrate", "-v", "0")
    assert len(database.query(columns)) == 1
    assert database.query("SELECT 1 FROM chat_event WHERE searched @@ websearch_to_tsquery('simple', 'the') LIMIT 1")
