"""A file that is not one of ours is refused with the number of its line, and nothing of its sessions stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from chat.models import ChatSession
from chat.transcripts import lines as reading
from chat.transcripts.lines import BadFile
from tests.transcripts.files import empty, joined, lines, read, written
from tests.transcripts.variety import Variety

pytestmark = pytest.mark.django_db


@pytest.fixture
def good() -> list[dict[str, Any]]:
    """The lines of a file with one session; the database is empty again."""
    Variety(9).fill(1, unfinished=False)
    found = lines(written())
    empty()
    return found


def refused(content: bytes) -> str:
    with pytest.raises(BadFile) as error:
        read(content)
    assert not ChatSession.objects.exists()
    assert not User.objects.exists()
    return str(error.value)


def number_of(found: list[dict[str, Any]], kind: str, **having: Any) -> int:
    return next(
        at for at, line in enumerate(found) if line["line"] == kind and all(line[k] == v for k, v in having.items())
    )


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"[]\n", b'"x"\n', b"{}\n", b"PK\x03\x04", b"\xff\xfe{\x00}\x00", b"null"]
)
def test_what_is_no_such_file_at_all(content: bytes) -> None:
    assert refused(content).startswith(("Line 1: ", "The file is empty"))


@pytest.mark.parametrize("version", [0, 2, "1", None, [1], 10**400])
def test_another_version(version: Any) -> None:
    head = b'{"line":"head","format":"glassbox-transcripts","version":%s}\n' % json.dumps(version).encode()[:4000]
    assert "Line 1: " in refused(head)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[" * 100_000,
        b'{"line":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"a":' * 5000,
        b'{"line": NaN}',
        b'{"line": "event", "data": {"x": 1e999}}',
        b'{"line": "session", "title": "\\u0000"}',
        b'{"line": "session", "title": "\\ud800"}',
        b'{"line": "session", "\\u0000": 1}',
        b'{"line": "sessions"}',
        b'{"line": ["session"]}',
        b'{"line": "session"}',
        b'{"n": ' + b"1" * 5000 + b"}",
        b"\xff",
        b"",
    ],
)
def test_a_bad_line_is_named_with_its_number(line: bytes, good: list[dict[str, Any]]) -> None:
    content = joined(good[:3]) + line + b"\n" + joined(good[3:])
    assert refused(content).startswith("Line 4: ")


def test_a_line_that_has_no_end_is_not_read_into_memory(
    good: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LONGEST_LINE", 5000)
    assert "Line 3: longer than 5000 bytes" in refused(joined(good[:2]) + b"x" * 20_000)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("session", "id", "a b"),
        ("session", "id", "x" * 65),
        ("session", "id", 1),
        ("session", "title", "x" * 121),
        ("session", "is_private", 1),
        ("session", "created_at", "2026-01-01T00:00:00"),
        ("session", "created_at", "0001-01-01T00:00:00+14:00"),
        ("session", "created_at", 5),
        ("session", "more", 1),
        ("run", "id", "x"),
        ("run", "seq", 0),
        ("run", "seq", True),
        ("run", "seq", 2**63),
        ("run", "seq", 1.0),
        ("run", "attempt", -1),
        ("run", "attempt", 2**31),
        ("run", "state", "finished"),
        ("run", "state", None),
        ("run", "cost", 1.5),
        ("run", "cost", "1e5"),
        ("run", "cost", "1234567.0"),
        ("run", "feedback", {"thumb": 1}),
        ("run", "feedback", {"thumb": True, "comment": "", "created_at": "", "updated_at": ""}),
        ("run", "first_token_seconds", 10**400),
        ("event", "type", "steps"),
        ("event", "step_type", "thoughts"),
        ("event", "data", []),
        ("event", "data", {"imported": True}),
        ("event", "duration", "1"),
        ("event", "content", None),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(kind: str, name: str, value: Any, good: list[dict[str, Any]]) -> None:
    at = number_of(good, kind)
    good[at] = good[at] | {name: value}
    # The number may be too large to be read at all.
    said = refused(joined(good))
    assert said.startswith(f"Line {at + 1}: ")
    assert repr(name) in said or name == "more"


def _later_parent(found: list[dict[str, Any]]) -> None:
    runs = [line for line in found if line["line"] == "run"]
    runs[0]["parent"] = runs[-1]["id"]


def _no_message(found: list[dict[str, Any]]) -> None:
    del found[number_of(found, "event", type="message")]


def _no_end(found: list[dict[str, Any]]) -> None:
    del found[number_of(found, "event", type="run_end")]


def _other_end(found: list[dict[str, Any]]) -> None:
    run = found[number_of(found, "run")]
    run["state"] = "completed" if run["state"] != "completed" else "stopped"


def _never_ended(found: list[dict[str, Any]]) -> None:
    found[number_of(found, "run")]["ended_at"] = None


def _twice(found: list[dict[str, Any]]) -> None:
    at = number_of(found, "event")
    found.insert(at, found[at])


def _foreign_event(found: list[dict[str, Any]]) -> None:
    found[number_of(found, "event")]["run"] = "00000000-0000-4000-8000-000000000000"


def _no_session(found: list[dict[str, Any]]) -> None:
    del found[number_of(found, "session")]


def _session_twice(found: list[dict[str, Any]]) -> None:
    at = number_of(found, "session")
    found.insert(at, found[at])


def _run_twice(found: list[dict[str, Any]]) -> None:
    at = number_of(found, "run")
    found.insert(at, found[at])


def _fewer_runs(found: list[dict[str, Any]]) -> None:
    found[-1]["runs"] += 1


def _more_after_the_end(found: list[dict[str, Any]]) -> None:
    found.append({"line": "gone", "run": "00000000-0000-4000-8000-000000000000"})


def _no_last_line(found: list[dict[str, Any]]) -> None:
    del found[-1]


def _same_client_id(found: list[dict[str, Any]]) -> None:
    for line in found:
        if line["line"] == "run":
            line["client_id"] = "same"


@pytest.mark.parametrize(
    "spoil",
    [
        _later_parent,
        _no_message,
        _no_end,
        _other_end,
        _never_ended,
        _twice,
        _foreign_event,
        _no_session,
        _session_twice,
        _run_twice,
        _fewer_runs,
        _no_last_line,
        _same_client_id,
    ],
)
def test_lines_that_do_not_go_together_are_refused(
    spoil: Callable[[list[dict[str, Any]]], None], good: list[dict[str, Any]]
) -> None:
    assert sum(line["line"] == "run" for line in good) > 1
    spoil(good)
    assert refused(joined(good))


def test_what_follows_the_end_is_refused(good: list[dict[str, Any]]) -> None:
    _more_after_the_end(good)
    assert "after the end" in refused(joined(good))


def test_a_name_that_no_user_can_have_is_refused_with_its_session(good: list[dict[str, Any]]) -> None:
    good[1]["owner"] = "two words"
    (outcome,) = read(joined(good))
    assert "no user can be made" in outcome.conflict
    assert not User.objects.exists()
    assert not ChatSession.objects.exists()


def test_what_this_version_does_not_know_of_an_event_is_kept(good: list[dict[str, Any]]) -> None:
    at = number_of(good, "event", type="message")
    good[at]["data"] = {"later": {"b": [1, None], "a": "x"}}
    read(joined(good))
    assert good[at]["data"] == lines(written())[at]["data"]
