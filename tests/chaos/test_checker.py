"""The checker sees what it is there for: every planted fault is named, and a clean session gives nothing.

One file, so that what is planted stands beside the session that it is planted in.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker import PROMISES, check
from tests.chaos.evidence import Effect, Entry, EventRow, Evidence, RunRow, TabLog
from tests.parts.tab import Frame, Tab

RUN, NEXT = "11111111-run", "22222222-run"


def events() -> list[EventRow]:
    """A run with a thought, a call of the ledger and an answer, its worker lost after the result; then one that was stopped."""
    rows = [
        {"run_id": RUN, "attempt": 0, "type": "message", "content": "count to three"},
        {"run_id": RUN, "attempt": 1, "type": "run_start"},
        {"run_id": RUN, "attempt": 1, "type": "step", "step": 1, "step_type": "thought", "content": "I write it down."},
        {
            "run_id": RUN,
            "attempt": 1,
            "type": "step",
            "step": 2,
            "step_type": "tool_use",
            "data": {"arguments": {"mark": "m-1"}},
        },
        {"run_id": RUN, "attempt": 1, "type": "step", "step": 3, "step_type": "tool_result", "content": "m-1"},
        {"run_id": RUN, "attempt": 2, "type": "run_start"},
        {"run_id": NEXT, "attempt": 0, "type": "message", "content": "count to nine"},
        {"run_id": RUN, "attempt": 2, "type": "step", "step": 4, "step_type": "final_answer", "content": "1 2 3"},
        {"run_id": RUN, "attempt": 2, "type": "run_end", "data": {"state": "completed"}},
        {"run_id": NEXT, "attempt": 1, "type": "run_start"},
        {"run_id": NEXT, "attempt": 1, "type": "step", "step": 1, "step_type": "final_answer", "content": "1 2"},
        {"run_id": NEXT, "attempt": 1, "type": "run_end", "data": {"state": "stopped"}},
    ]
    made = []
    for seq, row in enumerate(rows, start=1):
        tool = {"tool_name": "ledger", "call_id": "c-1"} if str(row.get("step_type", "")).startswith("tool") else {}
        made.append(EventRow(seq=seq, committed_at=100.0 + seq, **row, **tool))  # type: ignore[arg-type] # the rows above have what it takes
    return made


def frame_of(row: EventRow) -> Frame:
    kinds = {
        "message": "message",
        "run_start": "reasoning_start",
        "step": "reasoning_step",
        "run_end": "reasoning_complete",
    }
    data: dict[str, Any] = {"timestamp": 100.0 + row.seq}
    match row.type:
        case "message":
            data |= {"content": row.content, "client_id": client_of(row.run_id)}
        case "run_start":
            data |= {"attempt": row.attempt}
        case "step":
            data |= {
                "step": row.step,
                "type": row.step_type,
                "content": row.content,
                "attempt": row.attempt,
                **row.data,
            }
            if row.tool_name:
                data |= {"tool_name": row.tool_name, "call_id": row.call_id}
        case "run_end":
            data |= row.data
    return {"type": kinds[row.type], "data": data, "seq": row.seq, "run_id": row.run_id}


def client_of(run_id: str) -> str:
    return "client-1" if run_id == RUN else "client-2"


def chat(client_id: str, message: str) -> Frame:
    return {"type": "chat", "client_id": client_id, "payload": {"message": message}}


def accepted(run_id: str) -> Frame:
    return {"type": "accepted", "data": {"client_id": client_of(run_id), "state": "queued"}, "run_id": run_id}


def connected(head: int) -> Frame:
    return {"type": "connected", "data": {"head": head, "epoch": "e"}}


def resumed(through: int) -> Frame:
    return {"type": "resumed", "data": {"through": through, "head": through, "more": False, "epoch": "e"}}


def delta(attempt: int, step: int, offset: int, text: str, *, run_id: str = RUN) -> Frame:
    data = {
        "attempt": attempt,
        "call": 1,
        "step": step,
        "type": "final_answer",
        "iteration": 1,
        "offset": offset,
        "content": text,
    }
    return {"type": "reasoning_delta", "data": data, "run_id": run_id}


def tab(name: str, log: list[tuple[int, bool, Frame]]) -> TabLog:
    """The log of a tab, a tenth of a second after each row; what it shows is worked out by the reducer."""
    reducer, at, entries = Tab(), 100.0, []
    for connection, sent, frame in log:
        at = max(at, 100.1 + frame.get("seq", 0))
        entries.append(Entry(at, connection, sent, frame))
        if not sent:
            reducer.apply(frame)
    return TabLog(name=name, entries=entries, transcript=reducer.transcript(), state=reducer.state())


def live(rows: list[EventRow]) -> TabLog:
    """Sends both messages, and sees everything as it happens."""
    log: list[tuple[int, bool, Frame]] = [
        (0, False, connected(0)),
        (0, True, {"type": "resume", "after": 0}),
        (0, False, resumed(0)),
        (0, True, chat("client-1", "count to three")),
    ]
    for row in rows:
        log.append((0, False, frame_of(row)))
        if row.type == "message":
            log.append((0, False, accepted(row.run_id)))
        match row.seq:
            case 2:
                log += [(0, False, delta(1, 1, 0, "I write")), (0, False, delta(1, 1, 7, " it down."))]
            case 5:
                log += [(0, False, delta(1, 4, 0, "1 2 t"))]
            case 6:
                log += [(0, True, chat("client-2", "count to nine")), (0, False, delta(2, 4, 0, "1 2 3"))]
            case 10:
                log += [(0, False, delta(1, 1, 0, "1 2", run_id=NEXT))]
    return tab("live", log)


def late(rows: list[EventRow]) -> TabLog:
    """Comes in the middle, loses its socket and comes back."""
    log: list[tuple[int, bool, Frame]] = [(0, False, connected(6)), (0, True, {"type": "resume", "after": 0})]
    log += [(0, False, frame_of(row)) for row in rows[:6]]
    log += [(0, False, resumed(6)), (0, False, frame_of(rows[6]))]
    log += [(1, False, connected(9)), (1, True, {"type": "resume", "after": 7})]
    log += [(1, False, frame_of(row)) for row in rows[7:9]]
    log += [(1, False, resumed(9)), *((1, False, frame_of(row)) for row in rows[9:])]
    return tab("late", log)


def fresh(rows: list[EventRow]) -> TabLog:
    log: list[tuple[int, bool, Frame]] = [(0, False, connected(len(rows))), (0, True, {"type": "resume", "after": 0})]
    log += [(0, False, frame_of(row)) for row in rows]
    return tab("fresh", [*log, (0, False, resumed(len(rows)))])


def evidence(change: Callable[[list[EventRow]], object] = lambda rows: None) -> Evidence:
    """A clean session; or one whose log was written so from the beginning, and truly shown."""
    rows = events()
    change(rows)
    runs = []
    for run_id, message, state in ((RUN, "count to three", "completed"), (NEXT, "count to nine", "stopped")):
        own = [row for row in rows if row.run_id == run_id]
        runs.append(
            RunRow(
                id=run_id,
                client_id=client_of(run_id),
                seq=own[0].seq,
                message=message,
                state=state,
                attempt=own[-1].attempt,
            )
        )
    return Evidence(
        session="s",
        head=rows[-1].seq,
        runs=runs,
        events=rows,
        tabs=[live(rows), late(rows)],
        fresh=fresh(rows),
        answers={"client-1": ["1 2 3", "one two three"], "client-2": ["1 2 3 4 5 6 7 8 9"]},
        effects=[Effect(mark="m-1", tool="ledger")],
        once=frozenset({"ledger"}),
        with_effect=frozenset({"ledger", "glance"}),
    )


def test_a_clean_session_gives_nothing() -> None:
    assert check(evidence()) == []


# --- planted ----------------------------------------------------------------------------------------------------------

Plant = Callable[[], Evidence]


def with_tab(change: Callable[[list[Entry]], object], *, which: int = 0) -> Evidence:
    """What came to a tab is changed; what it shows follows from it."""
    clean = evidence()
    entries = list(clean.tabs[which].entries)
    change(entries)
    changed = tab(clean.tabs[which].name, [(entry.connection, entry.sent, entry.frame) for entry in entries])
    tabs = list(clean.tabs)
    tabs[which] = replace(changed, entries=entries)
    return replace(clean, tabs=tabs)


def at(entries: list[Entry], seq: int) -> int:
    return next(index for index, entry in enumerate(entries) if entry.frame.get("seq") == seq)


def lost_on_the_wire() -> Evidence:
    return with_tab(lambda entries: entries.pop(at(entries, 8)))


def doubled_on_the_wire() -> Evidence:
    return with_tab(lambda entries: entries.insert(at(entries, 8), entries[at(entries, 8)]))


def reordered_on_the_wire() -> Evidence:
    def swap(entries: list[Entry]) -> None:
        first, second = at(entries, 9), at(entries, 10)
        entries[first], entries[second] = entries[second], entries[first]

    return with_tab(swap)


def shown_before_recorded() -> Evidence:
    def hurry(entries: list[Entry]) -> None:
        index = at(entries, 8)
        entries[index] = replace(entries[index], at=entries[index].at - 0.2)

    return with_tab(hurry)


def accepted_before_recorded() -> Evidence:
    def hurry(entries: list[Entry]) -> None:
        index = next(number for number, entry in enumerate(entries) if entry.frame["type"] == "accepted")
        entries[index] = replace(entries[index], at=100.9)

    return with_tab(hurry)


def shown_and_never_recorded() -> Evidence:
    ghost = EventRow(seq=13, run_id=NEXT, attempt=1, type="step", step=2, step_type="thought", content="boo")
    return with_tab(lambda entries: entries.append(Entry(120.0, 0, False, frame_of(ghost))))


def shown_otherwise_than_recorded() -> Evidence:
    def alter(entries: list[Entry]) -> None:
        index = at(entries, 8)
        frame = copy.deepcopy(entries[index].frame)
        frame["data"]["content"] = "1 2 4"
        entries[index] = replace(entries[index], frame=frame)

    return with_tab(alter)


def loaded_otherwise_than_recorded() -> Evidence:
    clean = evidence()
    rows = list(clean.events)
    rows[7] = replace(rows[7], content="1 2 3 4")
    return replace(clean, events=rows)


def an_event_missing_in_the_log() -> Evidence:
    return evidence(lambda rows: rows.pop(4))


def an_event_twice_in_the_log() -> Evidence:
    return evidence(lambda rows: rows.insert(4, rows[4]))


def a_head_without_its_row() -> Evidence:
    return replace(evidence(), head=13)


def shown_and_never_sent() -> Evidence:
    clean = evidence()
    entries = [entry for entry in clean.tabs[1].entries if entry.frame.get("seq") != 9]
    return replace(clean, tabs=[clean.tabs[0], replace(clean.tabs[1], entries=entries)])


def a_tab_that_shows_something_else() -> Evidence:
    clean = evidence()
    transcript = copy.deepcopy(list(clean.tabs[1].transcript))
    transcript[2]["data"]["content"] = "I write it up."
    return replace(clean, tabs=[clean.tabs[0], replace(clean.tabs[1], transcript=transcript)])


def a_draft_left_over() -> Evidence:
    clean = evidence()
    state = copy.deepcopy(dict(clean.tabs[0].state))
    state["runs"][RUN]["drafts"] = {5: ("final_answer", "1 2")}
    return replace(clean, tabs=[replace(clean.tabs[0], state=state), clean.tabs[1]])


def an_accepted_message_without_a_run() -> Evidence:
    lost = {"type": "accepted", "data": {"client_id": "client-3", "state": "queued"}, "run_id": "33333333-run"}
    return with_tab(lambda entries: entries.append(Entry(120.0, 0, False, lost)))


def two_runs_for_a_message() -> Evidence:
    clean = evidence()
    return replace(clean, runs=[clean.runs[0], replace(clean.runs[1], client_id="client-1")])


def a_refused_message_with_a_run() -> Evidence:
    no = {"type": "error", "data": {"client_id": "client-2", "code": "queue_full", "message": "full"}}

    def refuse(entries: list[Entry]) -> None:
        index = [number for number, entry in enumerate(entries) if entry.frame["type"] == "accepted"][1]
        entries[index] = replace(entries[index], frame=no)

    return with_tab(refuse)


def a_run_that_nobody_asked_for() -> Evidence:
    clean = evidence()
    return replace(clean, runs=[clean.runs[0], replace(clean.runs[1], message="count to ninety")])


def a_second_ending() -> Evidence:
    return evidence(lambda rows: rows.append(replace(rows[8], seq=13)))


def a_run_without_an_ending() -> Evidence:
    return evidence(lambda rows: rows.pop())


def a_run_that_goes_on_after_its_ending() -> Evidence:
    def swap(rows: list[EventRow]) -> None:
        rows[7], rows[8] = replace(rows[8], seq=8), replace(rows[7], seq=9)

    return evidence(swap)


def an_ending_that_says_something_else() -> Evidence:
    def alter(rows: list[EventRow]) -> None:
        rows[8] = replace(rows[8], data={"state": "failed"})

    return evidence(alter)


def a_run_that_broke_off() -> Evidence:
    def alter(rows: list[EventRow]) -> None:
        rows[8] = replace(rows[8], data={"state": "failed", "code": "internal"})

    clean = evidence(alter)
    return replace(clean, runs=[replace(clean.runs[0], state="failed"), clean.runs[1]])


def two_runs_at_once() -> Evidence:
    def swap(rows: list[EventRow]) -> None:
        rows[8], rows[9] = replace(rows[9], seq=9), replace(rows[8], seq=10)

    return evidence(swap)


def an_old_attempts_write() -> Evidence:
    def late_write(rows: list[EventRow]) -> None:
        rows[4], rows[5] = replace(rows[5], seq=5), replace(rows[4], seq=6)

    return evidence(late_write)


def an_old_attempts_words_under_a_new_one() -> Evidence:
    """It was not refused, and its step looks like one of the attempt that came after."""

    def words(rows: list[EventRow]) -> None:
        rows[7] = replace(rows[7], content="one two three")

    return evidence(words)


def an_attempt_left_out() -> Evidence:
    def skip(rows: list[EventRow]) -> None:
        for index in (5, 7, 8):
            rows[index] = replace(rows[index], attempt=3)

    return evidence(skip)


def a_step_twice() -> Evidence:
    def again(rows: list[EventRow]) -> None:
        rows[7] = replace(rows[7], step=3)

    return evidence(again)


def a_result_twice() -> Evidence:
    def again(rows: list[EventRow]) -> None:
        rows.insert(8, replace(rows[4], step=5, attempt=2))
        rows[:] = [replace(row, seq=seq, committed_at=100.0 + seq) for seq, row in enumerate(rows, start=1)]

    return evidence(again)


def an_effect_twice() -> Evidence:
    return replace(evidence(), effects=[Effect(mark="m-1", tool="ledger")] * 2)


def an_effect_missing() -> Evidence:
    return replace(evidence(), effects=[])


def an_effect_that_nobody_recorded() -> Evidence:
    return replace(evidence(), effects=[Effect(mark="m-1", tool="ledger"), Effect(mark="m-2", tool="ledger")])


def an_answer_with_a_token_missing() -> Evidence:
    def drop(rows: list[EventRow]) -> None:
        rows[7] = replace(rows[7], content="1 3")

    return evidence(drop)


def an_answer_with_a_token_twice() -> Evidence:
    def double(rows: list[EventRow]) -> None:
        rows[7] = replace(rows[7], content="1 2 2 3")

    return evidence(double)


def a_stopped_answer_that_nobody_said() -> Evidence:
    def alter(rows: list[EventRow]) -> None:
        rows[10] = replace(rows[10], content="2 1")

    return evidence(alter)


def a_draft_that_lost_a_piece() -> Evidence:
    def alter(entries: list[Entry]) -> None:
        index = next(number for number, entry in enumerate(entries) if entry.frame.get("data", {}).get("offset") == 7)
        entries[index] = replace(entries[index], frame=delta(1, 1, 7, " down."))

    return with_tab(alter)


def a_draft_that_differs_between_tabs() -> Evidence:
    return with_tab(lambda entries: entries.insert(8, Entry(107.5, 0, False, delta(1, 4, 0, "1 3 t"))), which=1)


@pytest.mark.parametrize(
    ("plant", "promise"),
    [
        (lost_on_the_wire, "each event once on the wire"),
        (lost_on_the_wire, "gapless"),
        (lost_on_the_wire, "every tab equals the database"),
        (doubled_on_the_wire, "each event once on the wire"),
        (reordered_on_the_wire, "each event once on the wire"),
        (shown_before_recorded, "recorded before shown"),
        (accepted_before_recorded, "recorded before shown"),
        (shown_and_never_recorded, "recorded before shown"),
        (shown_otherwise_than_recorded, "recorded before shown"),
        (loaded_otherwise_than_recorded, "frames tell the rows"),
        (an_event_missing_in_the_log, "gapless"),
        (an_event_twice_in_the_log, "gapless"),
        (a_head_without_its_row, "gapless"),
        (shown_and_never_sent, "shown what came"),
        (a_tab_that_shows_something_else, "every tab equals the database"),
        (a_draft_left_over, "every tab equals the database"),
        (an_accepted_message_without_a_run, "one run for each accepted message"),
        (two_runs_for_a_message, "one run for each accepted message"),
        (a_refused_message_with_a_run, "one run for each accepted message"),
        (a_run_that_nobody_asked_for, "one run for each accepted message"),
        (a_second_ending, "one ending for each run"),
        (a_run_without_an_ending, "one ending for each run"),
        (a_run_that_goes_on_after_its_ending, "one ending for each run"),
        (an_ending_that_says_something_else, "one ending for each run"),
        (a_run_that_broke_off, "runs fail only with their process"),
        (two_runs_at_once, "one active run in a session"),
        (an_old_attempts_write, "no write by an old attempt"),
        (an_old_attempts_words_under_a_new_one, "drafts grow to what is recorded"),
        (an_attempt_left_out, "no write by an old attempt"),
        (a_step_twice, "each step once"),
        (a_result_twice, "each step once"),
        (an_effect_twice, "no tool effect twice"),
        (an_effect_missing, "results tell the effects"),
        (an_effect_that_nobody_recorded, "results tell the effects"),
        (an_answer_with_a_token_missing, "answers are whole"),
        (an_answer_with_a_token_twice, "answers are whole"),
        (a_stopped_answer_that_nobody_said, "answers are whole"),
        (a_draft_that_lost_a_piece, "drafts grow to what is recorded"),
        (a_draft_that_differs_between_tabs, "drafts grow to what is recorded"),
    ],
)
def test_a_planted_fault_is_named(plant: Plant, promise: str) -> None:
    assert promise in {violation.promise for violation in check(plant())}


def test_every_promise_is_tried() -> None:
    marks = next(mark for mark in test_a_planted_fault_is_named.pytestmark)  # type: ignore[attr-defined] # pytest puts it there
    tried = {promise for _, promise in marks.args[1]}
    assert tried == {promise.__name__.replace("_", " ") for promise in PROMISES}


def test_a_message_that_could_not_be_saved_may_have_been() -> None:
    """Sent again, it is accepted as the run that it already is: that is no refusal with a run."""
    unsure = {"type": "error", "data": {"client_id": "client-2", "code": "not_saved", "message": "Not saved."}}
    clean = evidence()
    entries = list(clean.tabs[0].entries)
    index = [number for number, entry in enumerate(entries) if entry.frame["type"] == "accepted"][1]
    entries[index] = replace(entries[index], frame=unsure)
    assert check(replace(clean, tabs=[replace(clean.tabs[0], entries=entries), clean.tabs[1]])) == []


@pytest.mark.parametrize("code", ["lost", "outcome_unknown"])
def test_a_run_may_fail_with_its_process(code: str) -> None:
    def alter(rows: list[EventRow]) -> None:
        rows[8] = replace(rows[8], data={"state": "failed", "code": code})

    clean = evidence(alter)
    assert check(replace(clean, runs=[replace(clean.runs[0], state="failed"), clean.runs[1]])) == []
