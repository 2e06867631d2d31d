"""Drafts: the text of the steps that a run is writing, and how often it is told.

Deltas are the dear part of a token's way, so the first piece of a step goes at once and then at most one message per
run every `DELTA_SECONDS`, longer when the process has many runs to tell of, or it or the layer is slow; always the new text
with its offset, never all of it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from django.conf import settings

from agents.steps import Delta, Discard, Step, StepType
from chat import metrics, protocol

SLOWEST_SECONDS = 0.5
# No frame of a draft is long: servers and proxies bound the size of a message, and a client acknowledges by frames.
PIECE_LENGTH = 32 * 1024
# The pause grows to this many times what the last message was late or took: a loaded process tells less often.
PATIENCE = 2.5
# Each message costs what it costs, however few tokens are in it: with so many runs the pause is longer by so large a part, and
# then no longer.
MANY_RUNS = 25
LONGER = 0.6

_telling = 0  # runs of this process


def utf16_length(text: str) -> int:
    """The length that JavaScript sees."""
    return len(text) if text.isascii() else len(text) + sum(character > "\uffff" for character in text)


def _next_beat(now: float, *, took: float) -> float:
    """When to tell again after a message that took so long. All runs of a process tell in the same moments, so that what they say
    goes out together.
    """
    beat = settings.DELTA_SECONDS * (1 + LONGER * min(_telling, MANY_RUNS) / MANY_RUNS)
    if not beat:
        return now + min(PATIENCE * took, SLOWEST_SECONDS)
    beats = min(math.ceil(PATIENCE * took / beat), SLOWEST_SECONDS // beat)
    # A quarter at least: timers come a little early or late.
    return (math.floor(now / beat + 0.25) + max(beats, 1)) * beat


@dataclass(slots=True)
class Draft:
    """The text of one step so far: `told` of its UTF-16 units are sent, `untold` is not, and waits since `untold_at`."""

    step: int
    call: int
    type: StepType
    iteration: int
    discarded: bool
    pieces: list[str] = field(default_factory=list)
    told: int = 0
    untold: list[str] = field(default_factory=list)
    untold_at: float = 0.0

    def text(self) -> str:
        return "".join(self.pieces)


class Drafts:
    """The drafts of one attempt at a run, made when it begins. `tell` sends an encoded frame to everyone who watches, with the
    wall clock's time of its oldest token; None keeps silent.
    """

    def __init__(self, *, run_id: str, attempt: int, tell: Callable[[str, float], Awaitable[bool]] | None) -> None:
        self._run_id = run_id
        self._attempt = attempt
        self._tell = tell
        self._drafts: dict[int, Draft] = {}
        self._discarded = False
        # When it began, until its first text has come; a run that goes on elsewhere has had its first text.
        self._began = time.monotonic() if attempt == 1 else None
        self.first_token_seconds: float | None = None
        self._untold = asyncio.Event()
        self._urgent = asyncio.Event()

    def add(self, delta: Delta) -> None:
        """Append to the draft of a step."""
        if self._began is not None:
            self.first_token_seconds = time.monotonic() - self._began
            metrics.first_token(self.first_token_seconds)
            self._began = None
        draft = self._drafts.get(delta.step)
        if draft is None:
            draft = Draft(delta.step, delta.call, delta.type, delta.iteration, self._discarded)
            self._drafts[delta.step] = draft
            self._urgent.set()
        if not draft.untold:
            draft.untold_at = time.time()
        draft.pieces.append(delta.text)
        draft.untold.append(delta.text)
        self._untold.set()

    def discard(self, said: Discard) -> None:
        """Drop all drafts: the model is asked again, and the page is told so."""
        self._drafts.clear()
        self._discarded = True
        self._drafts[said.step] = Draft(said.step, said.call, StepType.FINAL_ANSWER, said.iteration, True)
        self._drafts[said.step].untold.append("")
        self._drafts[said.step].untold_at = time.time()
        self._urgent.set()
        self._untold.set()

    def recorded(self, number: int) -> None:
        """Step `number` stands in the log: the drafts up to it have done their work."""
        for step in [step for step in self._drafts if step <= number]:
            del self._drafts[step]
        self._discarded = False

    def partial(self) -> list[Step]:
        """What was said so far, as steps: it is kept when a run is cut off."""
        return [
            Step(
                number=draft.step,
                type=draft.type,
                content=draft.text(),
                iteration=draft.iteration,
                is_partial=True,
                reasoning=draft.type is StepType.THOUGHT,
            )
            for draft in sorted(self._drafts.values(), key=lambda draft: draft.step)
            if draft.text().strip()
        ]

    def so_far(self) -> list[str]:
        """The drafts whole, as frames from offset 0, for somebody who comes in the middle."""
        if self._tell is None:
            return []
        return [text for draft in self._drafts.values() for text in self._frames(draft, offset=0, text=draft.text())]

    async def keep_telling(self) -> None:
        """Send what is new, again and again, until cancelled."""
        global _telling  # noqa: PLW0603 - of the process
        if self._tell is None:
            return
        _telling += 1
        try:
            await self._keep_telling()
        finally:
            _telling -= 1

    async def _keep_telling(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._untold.wait()
            self._untold.clear()
            self._urgent.clear()
            began = loop.time()
            all_told = True
            for draft in list(self._drafts.values()):
                if draft.untold and not await self._tell_new(draft):
                    all_told = False
            until = _next_beat(loop.time(), took=loop.time() - began)
            if not all_told:
                until = loop.time() + SLOWEST_SECONDS
                self._untold.set()
            try:
                async with asyncio.timeout_at(until):
                    await self._urgent.wait()
            except TimeoutError:
                pass

    async def _tell_new(self, draft: Draft) -> bool:
        """Send what is new of a draft; False where the layer did not take it, and then it is still to be told."""
        assert self._tell is not None  # noqa: S101 - for the type checker: who keeps silent never comes here
        text = "".join(draft.untold)
        draft.untold.clear()
        began, draft.told = draft.told, draft.told + utf16_length(text)
        for frame in self._frames(draft, offset=began, text=text):
            if not await self._tell(frame, draft.untold_at):
                # From the beginning of this text: a client drops what it has.
                draft.told = began
                draft.untold.insert(0, text)
                return False
        return True

    def _frames(self, draft: Draft, *, offset: int, text: str) -> list[str]:
        frames = []
        for start in range(0, max(len(text), 1), PIECE_LENGTH):
            piece = text[start : start + PIECE_LENGTH]
            frames.append(self._frame(draft, offset=offset, text=piece))
            offset += utf16_length(piece)
        return frames

    def _frame(self, draft: Draft, *, offset: int, text: str) -> str:
        return protocol.reasoning_delta(
            protocol.Piece(
                run_id=self._run_id,
                attempt=self._attempt,
                call=draft.call,
                step=draft.step,
                type=draft.type,
                iteration=draft.iteration,
                offset=offset,
                text=text,
                discarded=draft.discarded,
            )
        )
