"""Decides from the evidence whether a session kept every promise. Pure: the same evidence, the same verdict.

Each promise is one function from the evidence to what breaks it. One file, because the promises are read as one list.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.evidence import Evidence, RunRow
from tests.parts.tab import Frame

ENDED = ("completed", "failed", "stopped")
FRAME_TYPES = {
    "message": {"message"},
    "run_start": {"reasoning_start"},
    "step": {"reasoning_step", "response", "quiet_step"},
    "run_end": {"reasoning_complete", "message_removed"},
}
# Said when the database could not be asked: whether the message was recorded, the client learns by sending it again.
UNDECIDED = ("not_saved",)
LOST = ("lost", "outcome_unknown")


@dataclass(frozen=True, slots=True)
class Violation:
    promise: str
    session: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: session {self.session}: {self.what}"


def check(evidence: Evidence) -> list[Violation]:
    """Everything that breaks a promise; empty where all are kept."""
    return [
        Violation(promise.__name__.replace("_", " "), evidence.session, what)
        for promise in PROMISES
        for what in promise(evidence)
    ]


# --- what a tab is shown ----------------------------------------------------------------------------------------------


def recorded_before_shown(evidence: Evidence) -> Iterator[str]:
    """No frame with a `seq`, and no acknowledgement, that the database does not hold for good, or held only later."""
    rows = {row.seq: row for row in evidence.events}
    loaded = {frame["seq"]: frame for frame in evidence.fresh.transcript}
    ids = {run.client_id: run.id for run in evidence.runs}
    messages = {row.run_id: row for row in evidence.events if row.type == "message"}
    ends = {row.run_id: row for row in evidence.events if row.type == "run_end"}
    for tab in evidence.tabs:
        for entry in tab.entries:
            frame = entry.frame
            if entry.sent:
                continue
            if "seq" in frame:
                row = rows.get(frame["seq"])
                if row is None:
                    yield f"tab {tab.name} was sent seq {frame['seq']}, which the database does not have"
                    continue
                if loaded.get(row.seq) != frame:
                    yield f"tab {tab.name} was sent another seq {row.seq} than a fresh load: {frame}, {loaded.get(row.seq)}"
            elif frame["type"] == "accepted":
                client_id = frame["data"]["client_id"]
                if ids.get(client_id) != frame["run_id"]:
                    yield f"tab {tab.name}: message {client_id} was acknowledged as run {frame['run_id']}, which is not there"
                    continue
                row = messages.get(frame["run_id"])
            elif frame["type"] == "interrupted" and frame["run_id"]:
                row = ends.get(frame["run_id"])
                if row is None:
                    yield f"tab {tab.name}: the stop of run {frame['run_id']} was acknowledged, but it has no end"
            else:
                continue
            if row is not None and row.committed_at is not None and entry.at < row.committed_at:
                late = row.committed_at - entry.at
                yield f"tab {tab.name}: {frame['type']} for seq {row.seq} came {late:.6f} s before it was recorded"


def frames_tell_the_rows(evidence: Evidence) -> Iterator[str]:
    """What a frame says is what its row says."""
    rows = {row.seq: row for row in evidence.events}
    clients = {run.id: run.client_id for run in evidence.runs}
    for frame in evidence.fresh.transcript:
        row, data = rows.get(frame["seq"]), frame["data"]
        if row is None or frame["run_id"] != row.run_id or frame["type"] not in FRAME_TYPES[row.type]:
            yield f"seq {frame['seq']} is shown as {frame['type']} of run {frame['run_id']}, the row is {row}"
            continue
        said: dict[str, object] = {}
        match row.type:
            case "message":
                said = {"content": row.content, "client_id": clients.get(row.run_id)}
            case "run_start":
                said = {"attempt": row.attempt}
            case "step":
                said = {"step": row.step, "type": row.step_type}
                if frame["type"] != "quiet_step":
                    said |= {"content": row.content, "attempt": row.attempt}
                    said |= {name: value for name in ("tool_name", "call_id") if (value := getattr(row, name))}
            case "run_end" if frame["type"] == "reasoning_complete":
                said = {"state": row.data["state"]}
        wrong = {name: (data.get(name), value) for name, value in said.items() if data.get(name) != value}
        if wrong:
            yield f"seq {row.seq} is not shown as it is recorded (shown, recorded): {wrong}"


def gapless(evidence: Evidence) -> Iterator[str]:
    """The log and every transcript count from 1 without a gap."""
    if (seqs := [row.seq for row in evidence.events]) != list(range(1, evidence.head + 1)):
        yield f"the log's head is {evidence.head}, its rows are {_spans(seqs)}"
    for tab in [*evidence.tabs, evidence.fresh]:
        seqs = [frame["seq"] for frame in tab.transcript]
        if seqs != list(range(1, evidence.head + 1)):
            yield f"tab {tab.name} holds {_spans(seqs)} of 1-{evidence.head}"


def each_event_once_on_the_wire(evidence: Evidence) -> Iterator[str]:
    """A socket gets each event once and in order; a `resume` alone takes it back."""
    for tab in [*evidence.tabs, evidence.fresh]:
        cursor, connection = 0, -1
        asked: list[int] = []
        for entry in tab.entries:
            frame = entry.frame
            if entry.connection != connection:
                cursor, connection, asked = 0, entry.connection, []
            if entry.sent:
                if frame["type"] == "resume":
                    asked.append(frame["after"])
            elif frame["type"] == "connected":
                cursor = frame["data"]["head"]
            elif frame["type"] == "reset":
                cursor = 0
            elif frame["type"] == "resumed":
                if asked:
                    asked.pop(0)
                cursor = frame["data"]["through"]
            elif "seq" in frame:
                if frame["seq"] != cursor + 1 and frame["seq"] - 1 not in asked:
                    yield f"tab {tab.name}, socket {connection}: seq {frame['seq']} came after {cursor}, unasked"
                cursor = frame["seq"]


def shown_what_came(evidence: Evidence) -> Iterator[str]:
    """A tab shows nothing that it was not sent."""
    for tab in [*evidence.tabs, evidence.fresh]:
        came = {entry.frame["seq"]: entry.frame for entry in tab.entries if not entry.sent and "seq" in entry.frame}
        for frame in tab.transcript:
            if came.get(frame["seq"]) != frame:
                yield f"tab {tab.name} shows a seq {frame['seq']} that never came"


def every_tab_equals_the_database(evidence: Evidence) -> Iterator[str]:
    """In the end each tab is what a fresh load is, the same as the rows, with no draft left over."""
    rows = [(row.seq, row.run_id) for row in evidence.events]
    for tab in [*evidence.tabs, evidence.fresh]:
        if [(frame["seq"], frame["run_id"]) for frame in tab.transcript] != rows:
            yield f"tab {tab.name} holds other events than the database"
        if list(tab.transcript) != list(evidence.fresh.transcript):
            yield f"tab {tab.name} shows another transcript than a fresh load"
        if tab.state != evidence.fresh.state:
            yield f"tab {tab.name} shows something else than a fresh load: {tab.state['runs']}, {evidence.fresh.state['runs']}"
        for run_id, run in tab.state["runs"].items():
            if run["drafts"]:
                yield f"tab {tab.name} has kept a draft of run {run_id}: {run['drafts']}"


# --- messages and runs ------------------------------------------------------------------------------------------------


def one_run_for_each_accepted_message(evidence: Evidence) -> Iterator[str]:
    """Accepted anywhere: one run, the same for all. Refused and nowhere accepted: none. And none that nobody sent."""
    runs: dict[str, list[RunRow]] = defaultdict(list)
    for run in evidence.runs:
        runs[run.client_id].append(run)
    sent: dict[str, str] = {}
    accepted: dict[str, set[str]] = defaultdict(set)
    refused: dict[str, str] = {}
    for tab in evidence.tabs:
        for entry in tab.entries:
            frame = entry.frame
            if entry.sent and frame["type"] == "chat":
                sent[frame["client_id"]] = frame["payload"]["message"]
            elif not entry.sent and frame["type"] == "accepted":
                accepted[frame["data"]["client_id"]].add(frame["run_id"])
            elif not entry.sent and frame["type"] == "error" and "client_id" in frame["data"]:
                refused[frame["data"]["client_id"]] = frame["data"]["code"]
    for client_id, ids in accepted.items():
        if len(ids) != 1 or [run.id for run in runs[client_id]] != list(ids):
            yield f"message {client_id} was accepted as {sorted(ids)}; its runs are {[run.id for run in runs[client_id]]}"
    for client_id, code in refused.items():
        if client_id not in accepted and code not in UNDECIDED and runs[client_id]:
            yield f"message {client_id} was refused ({code}) and has a run"
    for run in evidence.runs:
        if sent.get(run.client_id) != run.message:
            yield f"run {run.id} is of a message that nobody sent: {run.client_id} {run.message!r}"
    for run in evidence.runs:
        messages = [row.seq for row in evidence.events if row.run_id == run.id and row.type == "message"]
        if messages != [run.seq]:
            yield f"run {run.id} of seq {run.seq} has its message at {messages}"


def one_ending_for_each_run(evidence: Evidence) -> Iterator[str]:
    """Every run is over, says so once, and says nothing afterwards."""
    for run in evidence.runs:
        rows = [row for row in evidence.events if row.run_id == run.id]
        ends = [row for row in rows if row.type == "run_end"]
        if run.state not in ENDED or len(ends) != 1:
            yield f"run {run.id} is {run.state} and has {len(ends)} endings"
        elif rows[-1] != ends[0]:
            yield f"run {run.id} has events after its ending"
        elif ends[0].data["state"] != run.state:
            yield f"run {run.id} is {run.state}, but its ending says {ends[0].data['state']}"


def runs_fail_only_with_their_process(evidence: Evidence) -> Iterator[str]:
    """The model and the tools are never at fault here: what fails is lost with its processes, or in the middle of a tool."""
    for row in evidence.events:
        if row.type == "run_end" and row.data["state"] == "failed" and row.data.get("code") not in LOST:
            yield f"run {row.run_id} failed of itself: {row.data.get('code')}, {row.data.get('message')}"


def one_active_run_in_a_session(evidence: Evidence) -> Iterator[str]:
    """Runs follow one another, in the order of their messages."""
    active: str | None = None
    begun: list[str] = []
    for row in evidence.events:
        if row.type == "run_start" and row.run_id != active:
            if active is not None:
                yield f"run {row.run_id} began at seq {row.seq} while {active} was active"
            active = row.run_id
            begun.append(row.run_id)
        elif row.type == "run_end" and row.run_id == active:
            active = None
    order = [run.id for run in sorted(evidence.runs, key=lambda run: run.seq) if run.id in begun]
    if order != begun:
        yield f"the runs began as {begun}, their messages came as {order}"


def no_write_by_an_old_attempt(evidence: Evidence) -> Iterator[str]:
    """Attempts at a run count up one by one, each after the other; what a run that ended lost only adds one to the last."""
    for run in evidence.runs:
        latest = starts = 0
        for row in (row for row in evidence.events if row.run_id == run.id):
            if row.type == "run_start":
                starts += 1
                if row.attempt != starts:
                    yield f"run {run.id}: start {starts} is of attempt {row.attempt} (seq {row.seq})"
            if row.attempt < latest:
                yield f"run {run.id}: seq {row.seq} is of attempt {row.attempt}, after attempt {latest} had begun"
            if row.attempt > starts + 1:
                yield f"run {run.id}: seq {row.seq} is of attempt {row.attempt}, but {starts} have begun"
            latest = max(latest, row.attempt)
        if run.attempt != latest:
            yield f"run {run.id} is in attempt {run.attempt}, its last event in {latest}"


def each_step_once(evidence: Evidence) -> Iterator[str]:
    """The steps of a run count from 1; each call is made once and answered once at most."""
    for run in evidence.runs:
        rows = [row for row in evidence.events if row.run_id == run.id and row.type == "step"]
        if [row.step for row in rows] != list(range(1, len(rows) + 1)):
            yield f"run {run.id} has the steps {[row.step for row in rows]}"
        for kind in ("tool_use", "tool_result"):
            for call_id, count in Counter(row.call_id for row in rows if row.step_type == kind).items():
                if count > 1:
                    yield f"run {run.id}: call {call_id} has {count} {kind}s"


# --- what runs did and said -------------------------------------------------------------------------------------------


def no_tool_effect_twice(evidence: Evidence) -> Iterator[str]:
    for (tool, mark), count in Counter((effect.tool, effect.mark) for effect in evidence.effects).items():
        if tool in evidence.once and count > 1:
            yield f"the call {mark} of {tool} had its effect {count} times"


def results_tell_the_effects(evidence: Evidence) -> Iterator[str]:
    """A result that says success had its effect; an effect belongs to a recorded call."""
    called = {
        row.call_id: row.data.get("arguments", {}).get("mark") for row in evidence.events if row.step_type == "tool_use"
    }
    effects = {effect.mark for effect in evidence.effects}
    for row in evidence.events:
        succeeded = row.step_type == "tool_result" and not row.data.get("is_error")
        if succeeded and row.tool_name in evidence.with_effect and called.get(row.call_id) not in effects:
            yield f"seq {row.seq} says that {row.tool_name} succeeded ({called.get(row.call_id)}), the ledger has nothing"
    for mark in sorted(effects - set(called.values())):
        yield f"the ledger has {mark}, but no such call is recorded"


def answers_are_whole(evidence: Evidence) -> Iterator[str]:
    """A completed run ends with a whole answer of the model's; one that was cut off has a beginning of one."""
    for run in evidence.runs:
        rows = [row for row in evidence.events if row.run_id == run.id and row.step_type == "final_answer"]
        said, whole = [row.content for row in rows], evidence.answers.get(run.client_id)
        if whole is None:
            continue
        if run.state == "completed" and said not in [[answer] for answer in whole]:
            yield f"run {run.id} completed with {said!r}; the model said {whole!r}"
        elif run.state != "completed" and not all(any(answer.startswith(text) for answer in whole) for text in said):
            yield f"run {run.id} was cut off with {said!r}, which the model did not say"


def drafts_grow_to_what_is_recorded(evidence: Evidence) -> Iterator[str]:
    """All pieces of one draft fit together in all tabs, and begin what is then recorded under the same attempt."""
    texts: dict[tuple[str, int, int, int], dict[int, int]] = defaultdict(dict)
    for tab in [*evidence.tabs, evidence.fresh]:
        for entry in tab.entries:
            if not entry.sent and entry.frame["type"] == "reasoning_delta":
                yield from (f"tab {tab.name}: {what}" for what in _place(texts, entry.frame))
    last_calls: dict[tuple[str, int, int], int] = {}
    for run_id, attempt, call, step in texts:
        last_calls[run_id, attempt, step] = max(call, last_calls.get((run_id, attempt, step), 0))
    recorded = {(row.run_id, row.attempt, row.step): row.content for row in evidence.events if row.type == "step"}
    for (run_id, attempt, step), call in last_calls.items():
        content = recorded.get((run_id, attempt, step))
        if content is None:
            continue
        units = _utf16(content)
        for offset, unit in texts[run_id, attempt, call, step].items():
            if offset >= len(units) or units[offset] != unit:
                yield f"run {run_id}, attempt {attempt}: the draft of step {step} is not what was recorded, from {offset} on"
                break


def _place(texts: dict[tuple[str, int, int, int], dict[int, int]], frame: Frame) -> Iterator[str]:
    data = frame["data"]
    draft = texts[frame["run_id"], data["attempt"], data["call"], data["step"]]
    for offset, unit in enumerate(_utf16(data["content"]), start=data["offset"]):
        if draft.setdefault(offset, unit) != unit:
            yield f"a piece of run {frame['run_id']}, step {data['step']} says something else at {offset} than another"
            return


def _utf16(text: str) -> list[int]:
    encoded = text.encode("utf-16-le", "surrogatepass")
    return [encoded[at] | encoded[at + 1] << 8 for at in range(0, len(encoded), 2)]


def _spans(numbers: list[int]) -> str:
    """1, 2, 3, 5 as `1-3, 5`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{first}-{last}" if first != last else f"{first}" for first, last in spans) or "nothing"


PROMISES: tuple[Callable[[Evidence], Iterator[str]], ...] = (
    recorded_before_shown,
    frames_tell_the_rows,
    gapless,
    each_event_once_on_the_wire,
    shown_what_came,
    every_tab_equals_the_database,
    one_run_for_each_accepted_message,
    one_ending_for_each_run,
    runs_fail_only_with_their_process,
    one_active_run_in_a_session,
    no_write_by_an_old_attempt,
    each_step_once,
    no_tool_effect_twice,
    results_tell_the_effects,
    answers_are_whole,
    drafts_grow_to_what_is_recorded,
)
