"""The two commands as an operator runs them: killed and gone on with, on SQLite and on PostgreSQL."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from chat.models import ChatSession, Run
from chat.transcripts import parts as making
from chat.transcripts.forms import FORMS
from chat.transcripts.resumable import CannotResume, ResumableFile
from tests.parts.installation import TOP, manage
from tests.parts.postgres_server import Database
from tests.transcripts.files import empty, lines, select, written
from tests.transcripts.test_forms import make_session
from tests.transcripts.variety import Variety


def run(*words: str) -> str:
    said = io.StringIO()
    call_command(*words, stdout=said, stderr=said)
    return said.getvalue()


@pytest.mark.django_db
def test_a_file_is_written_and_taken_in_and_it_is_said(tmp_path: Path) -> None:
    Variety(1).fill(5)
    file = tmp_path / "out.jsonl"
    said = run("exporttranscripts", "--output", str(file))
    assert f"{Run.objects.count()} runs are in {file}" in said
    assert file.read_bytes() == written()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    empty()
    said = run("importtranscripts", str(file))
    assert "User 'ada' was not there, and was made" in said
    assert "5 sessions were taken in" in said
    assert "0 sessions were taken in" in (again := run("importtranscripts", str(file)))
    assert "5 were there already" in again


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--user", "ada"], {"a1", "a2"}),
        (["--user", "ada", "--user", "bob"], {"a1", "a2", "b1"}),
        (["--session", "b1"], {"b1"}),
        (["--agent", "writer"], {"a2"}),
        (["--state", "completed"], {"a1", "a2", "b1"}),
        (["--state", "failed"], set()),
        (["--since", "2020-01-01", "--until", "2020-01-02T00:00+00:00"], {"b1"}),
        (["--until", "2020-01-01"], set()),
        (["--feedback", "down"], {"a1", "a2", "b1"}),
        (["--feedback", "up"], set()),
        (["--without-private"], {"a1", "b1"}),
        (["--user", "ada", "--agent", "writer", "--model", "writer"], {"a2"}),
    ],
)
def test_filters(words: list[str], wanted: set[str], tmp_path: Path) -> None:
    make_session("researcher", "a1", owner="ada")
    make_session("writer", "a2", owner="ada")
    make_session("researcher", "b1", owner="bob")
    ChatSession.objects.filter(public_id="a2").update(is_private=True)
    Run.objects.filter(session__public_id="b1").update(created_at="2020-01-01T12:00Z")
    file = tmp_path / "out.jsonl"
    run("exporttranscripts", "--output", str(file), *words)
    assert {line["id"] for line in lines(file.read_bytes()) if line["line"] == "session"} == wanted


@pytest.mark.django_db
def test_no_file_is_overwritten_and_nothing_is_gone_on_with_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text("precious")
    with pytest.raises(CommandError, match="is there already"):
        run("exporttranscripts", "--output", str(file))
    assert file.read_text() == "precious"
    with pytest.raises(CommandError, match="go on with"):
        run("exporttranscripts", "--output", str(file), "--resume")
    with pytest.raises(CommandError, match="needs a file"):
        run("exporttranscripts", "--output", "-", "--resume")
    with pytest.raises(CommandError, match="no user 'nobody'"):
        run("importtranscripts", str(file), "--owner", "nobody")
    with pytest.raises(CommandError, match="Line 1: not JSON"):
        run("importtranscripts", str(file))
    with pytest.raises(CommandError, match="can't be read"):
        run("importtranscripts", str(tmp_path / "missing"))


@pytest.mark.django_db
@pytest.mark.parametrize("form", FORMS)
def test_broken_off_anywhere_it_goes_on_to_the_same_bytes(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each part, with a piece of the next one on the disk, and with a line of the journal that was cut off."""
    Variety(8).fill(3)
    selection = select()
    whole = written(form, selection)
    monkeypatch.setattr(making, "PART_SIZE", max(200, len(whole) // 6))
    count = len(list(making.parts(selection, FORMS[form])))
    assert count > 2 or form in ("messages", "pairs")
    for broken in range(count):
        file = ResumableFile(tmp_path / f"{broken}")
        file.begin(form, selection)
        with file:
            for number, part in enumerate(making.parts(selection, FORMS[form])):
                if number == broken:
                    break
                file.write(part)
        with Path(f"{file.path}.part").open("ab") as out, Path(f"{file.path}.resume").open("ab") as journal:
            out.write(b"half a part")
            journal.write(b"123 4.")
        run("exporttranscripts", "--output", str(file.path), "--resume")
        assert file.path.read_bytes() == whole


@pytest.mark.django_db
def test_a_journal_that_is_broken_is_refused(tmp_path: Path) -> None:
    Variety(8).fill(2)
    for number, spoil in enumerate([b"", b"x\n", b'{"version":1}\n', b"[]\n"]):
        file = ResumableFile(tmp_path / f"{number}")
        file.begin("jsonl", select())
        file.__exit__(None, None, None)
        Path(f"{file.path}.resume").write_bytes(spoil)
        with pytest.raises(CannotResume, match="can't be read"):
            ResumableFile(file.path).reopen()


# --- real processes -------------------------------------------------------------------------------------------------------


def filled(tmp_path: Path, *, steps: int) -> tuple[dict[str, str], Path]:
    """The environment of an installation with so many events, and its transcripts in a file."""
    env = {"DATA_DIR": str(tmp_path / "data"), "MODEL": "demo"}
    manage(env, "migrate", "-v0")
    manage(env, "filltranscripts", "--steps", str(steps), "--users", "10")
    file = tmp_path / "whole.jsonl"
    manage(env, "exporttranscripts", "--output", str(file))
    return env, file


@pytest.mark.long
def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    env, whole = filled(tmp_path, steps=5_000)
    file = tmp_path / "killed.jsonl"
    command = [sys.executable, str(TOP / "manage.py"), "exporttranscripts", "--output", str(file)]
    journal = tmp_path / "killed.jsonl.resume"
    runs = whole.read_bytes().count(b'{"line":"run"')
    kills = 0
    for more in ([], ["--resume"], ["--resume"]):
        before = _places(journal, runs)
        process = subprocess.Popen(
            [*command, *more], cwd=TOP, env={"PATH": os.environ["PATH"], **env}, stderr=subprocess.DEVNULL
        )
        # Until a part more than before is on the disk.
        deadline = time.monotonic() + 60
        while process.poll() is None and _places(journal, runs) <= before and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        assert not file.exists()
    assert kills == 3
    assert journal.stat().st_mode & 0o077 == 0
    manage(env, "exporttranscripts", "--output", str(file), "--resume")
    assert file.stat().st_mode & 0o077 == 0
    assert file.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"data", "whole.jsonl", "killed.jsonl"}


def _places(journal: Path, runs: int) -> int:
    """How many parts the journal knows to be on the disk."""
    return max(0, journal.read_bytes().count(b"\n") - runs - 1) if journal.exists() else 0


@pytest.mark.long
def test_to_postgresql_and_back_nothing_is_lost(tmp_path: Path, site_database: Database) -> None:
    """Every format has the same bytes on both databases."""
    _, whole = filled(tmp_path, steps=500)
    sqlite = {"DATA_DIR": str(tmp_path / "sqlite"), "MODEL": "demo"}
    postgres = {
        "DATA_DIR": str(tmp_path / "postgres"),
        "DATABASE_URL": site_database.url,
        "MODEL": "demo",
    }
    various = tmp_path / "various.jsonl"
    various.write_bytes(_various())
    for name, env in (("sqlite", sqlite), ("postgres", postgres)):
        script = _IN_AND_OUT.format(files=[str(whole), str(various)], forms=list(FORMS), out=str(tmp_path / name))
        said = manage(env, "shell", "-v0", "-c", script)
        assert said.count("0 sessions were taken in") == 2, said
    for form in FORMS:
        assert (tmp_path / f"sqlite.{form}").read_bytes() == (tmp_path / f"postgres.{form}").read_bytes(), form
    heads = whole.read_bytes().splitlines(keepends=True)
    others = various.read_bytes().splitlines(keepends=True)
    assert (tmp_path / "postgres.jsonl").read_bytes().splitlines(keepends=True)[1:-1] == heads[1:-1] + others[1:-1]


# In one process: to start one takes longer than what it has to do.
_IN_AND_OUT = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
for file in {files}:
    for _ in range(2):
        call_command("importtranscripts", file)
for form in {forms}:
    call_command("exporttranscripts", format=form, output="{out}." + form)
"""

_VARIOUS = """
import sys
from tests.transcripts.files import written
from tests.transcripts.variety import Variety
for seed in range(6): Variety(seed).fill(4)
sys.stdout.buffer.write(written())
"""


def _various() -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        env = {"PATH": os.environ["PATH"], "DATA_DIR": folder, "MODEL": "demo"}
        manage(env, "migrate", "-v0")
        words = [sys.executable, str(TOP / "manage.py"), "shell", "-v0", "-c", _VARIOUS]
        return subprocess.run(words, cwd=TOP, env=env, check=True, capture_output=True).stdout
