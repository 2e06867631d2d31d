"""What a page knows of a session, mirrored for tests: the reducer of `static/chat/state.js` in Python.

Recorded frames go in the order of `seq`, doubles are dropped, a gap is answered with `resume`, drafts grow by their
offsets. It is pure, so that the law can be tried on any list of frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]


@dataclass
class Draft:
    """Text still being written, kept in UTF-16 because the offsets of the wire count its code units."""

    type: str
    iteration: int
    utf16: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return self.utf16.decode("utf-16-le", "surrogatepass")


@dataclass
class Run:
    state: str = "queued"
    attempt: int = 0
    call: int = 0
    last_step: int = 0
    retried: bool = False
    hole: bool = False
    drafts: dict[int, Draft] = field(default_factory=dict)


@dataclass
class Tab:
    """What a page knows of one session. `apply` takes a frame and returns the commands that the page then owes."""

    seq: int = 0
    head: int = 0
    epoch: str | None = None
    recorded: list[Frame] = field(default_factory=list)
    runs: dict[str, Run] = field(default_factory=dict)
    resuming: bool = False

    def apply(self, frame: Frame) -> list[Frame]:
        data = frame["data"]
        match frame["type"]:
            case "connected":
                # A new socket: what was asked on the old one will not be answered.
                self.resuming = False
                self.head = data["head"]
                return self._resume()
            case "reset":
                self.seq, self.recorded, self.runs = 0, [], {}
                self.epoch, self.head = data["epoch"], data["head"]
            case "resumed":
                self.resuming = False
                self.epoch, self.head = data["epoch"], data["head"]
                if data["more"]:
                    return self._resume()
            case "pong":
                self.head = max(self.head, data["head"])
                if self.head > self.seq and not self.resuming:
                    return self._resume()
            case "reasoning_delta":
                return self._delta(frame["run_id"], data)
            case _ if "seq" in frame:
                return self._record(frame)
            case _:
                pass
        return []

    def transcript(self) -> list[Frame]:
        """The recorded frames in their order: the same in every tab, and the same as the database's."""
        return list(self.recorded)

    def state(self) -> dict[str, Any]:
        """All that a reader can see, in plain values: recorded frames, states of runs, drafts."""
        runs = {
            run_id: {
                "state": run.state,
                "attempt": run.attempt,
                "drafts": {step: (draft.type, draft.text) for step, draft in sorted(run.drafts.items())},
            }
            for run_id, run in self.runs.items()
        }
        return {"epoch": self.epoch, "recorded": self.transcript(), "runs": runs}

    @property
    def active(self) -> list[str]:
        """The runs that have not ended."""
        return [run_id for run_id, run in self.runs.items() if run.state in ("queued", "running")]

    def _resume(self) -> list[Frame]:
        self.resuming = True
        known = {} if self.epoch is None else {"epoch": self.epoch}
        return [{"type": "resume", "after": self.seq, **known}]

    def _record(self, frame: Frame) -> list[Frame]:
        if frame["seq"] <= self.seq:
            return []
        if frame["seq"] > self.seq + 1:
            return [] if self.resuming else self._resume()
        self.seq = frame["seq"]
        self.head = max(self.head, self.seq)
        self.recorded.append(frame)
        data, run = frame["data"], self.runs.setdefault(frame["run_id"], Run())
        match frame["type"]:
            case "message":
                run.state = "queued"
            case "reasoning_start":
                run.state, run.attempt, run.call, run.retried, run.hole = "running", data["attempt"], 0, False, False
                run.drafts = {}
            case "reasoning_step" | "response" | "quiet_step":
                run.last_step = max(run.last_step, data["step"])
                run.drafts = {step: draft for step, draft in run.drafts.items() if step > data["step"]}
            case "reasoning_complete":
                run.state, run.drafts = data["state"], {}
            case "message_removed":
                run.state, run.drafts = "removed", {}
        return []

    def _delta(self, run_id: str, data: dict[str, Any]) -> list[Frame]:
        run = self.runs.get(run_id)
        if run is None or run.state != "running" or data["attempt"] != run.attempt:
            return []
        if data["step"] <= run.last_step or data["call"] < run.call:
            return []
        if data["call"] > run.call:
            run.drafts, run.call, run.hole = {}, data["call"], False
        if data.get("discarded"):
            run.retried = True
        draft = run.drafts.get(data["step"]) or Draft(data["type"], data["iteration"])
        have, offset = len(draft.utf16) // 2, data["offset"]
        if offset > have:
            run.hole = True
            return [] if self.resuming else self._resume()
        run.drafts[data["step"]] = draft
        draft.type = data["type"]
        draft.utf16 += data["content"].encode("utf-16-le", "surrogatepass")[(have - offset) * 2 :]
        if offset == 0:
            run.hole = False
        return []
