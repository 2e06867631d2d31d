"""A user's export has all that the site has of them, and their erasure leaves nothing of it, in any table or file."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.parts.installation import manage
from tests.parts.postgres_server import Database

Manage = Callable[..., str]

# Planted, and left out on purpose: it would let somebody in.
SECRET = ("axes.AccessLog.session_hash",)


@pytest.fixture(params=["sqlite", "postgresql"])
def env(request: pytest.FixtureRequest, site_template: Path, tmp_path: Path) -> Mapping[str, str]:
    """An installation on either database; nothing of it runs."""
    folder = tmp_path / "data"
    if request.param == "sqlite":
        shutil.copytree(site_template, folder)
        return {"DATA_DIR": str(folder), "MODEL": "demo"}
    shutil.copytree(site_template, folder, ignore=shutil.ignore_patterns("*.sqlite3*"))
    database: Database = request.getfixturevalue("site_database")
    return {"DATA_DIR": str(folder), "MODEL": "demo", "DATABASE_URL": database.url}


def told(env: Mapping[str, str], function: str) -> Any:
    out = manage(env, "shell", "-v", "0", "-c", f"from tests.parts import canary\ncanary.{function}()")
    return json.loads(out.splitlines()[-1])


def files_with(folder: str, mark: str) -> list[str]:
    found = [path for path in Path(folder).rglob("*") if path.is_file()]
    return [path.name for path in found if mark.encode() in path.read_bytes()]


@pytest.mark.long
def test_nothing_is_left_of_a_user_who_was_erased_and_nothing_of_others_is_gone(
    env: Mapping[str, str], tmp_path: Path
) -> None:
    planted = told(env, "plant")
    assert planted["forgotten"] == [], "models that nobody has planted, nor said that they tell nothing of users"
    erased, kept = planted["erased"], planted["kept"]
    before = told(env, "look")
    found = " ".join(row for rows in before["tables"].values() for row in rows)
    for person in (erased, kept):
        assert [place for place, mark in person["marks"].items() if mark not in found] == []
        assert any(f"{person['mark']}-login" in login for login in before["logins"])

    output = tmp_path / "user.zip"
    manage(env, "exportuser", erased["username"], "--output", str(output))
    assert output.stat().st_mode & 0o777 == 0o600
    exported = read_zip(output)
    missing = [place for place, mark in erased["marks"].items() if mark not in exported]
    assert [place for place in missing if not place.startswith(SECRET)] == []
    assert len(missing) == len(SECRET)
    assert kept["mark"] not in exported
    assert "pbkdf2" not in exported

    manage(env, "eraseuser", erased["username"], "--no-input")
    after = told(env, "look")
    left = {table: [row for row in rows if erased["mark"] in row] for table, rows in after["tables"].items()}
    assert {table: rows for table, rows in left.items() if rows} == {}
    assert not any(erased["mark"] in login for login in after["logins"])
    assert {place for place, users in after["names"].items() if erased["pk"] in users} == set()
    assert files_with(after["data_dir"], erased["mark"]) == []

    for table, rows in before["tables"].items():
        assert [row for row in rows if kept["mark"] in row] == [
            row for row in after["tables"][table] if kept["mark"] in row
        ]
    named = {place: users.count(kept["pk"]) for place, users in before["names"].items()}
    assert {place: users.count(kept["pk"]) for place, users in after["names"].items()} == named
    assert any(f"{kept['mark']}-login" in login for login in after["logins"])
    # Who was read, by nobody knows whom: the row stays.
    assert len(after["tables"]["chat_reading"]) == len(before["tables"]["chat_reading"])


def read_zip(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return "\n".join(archive.read(name).decode() for name in archive.namelist())
