"""A process of its own for what must not share an event loop with what is measured: it is told what to do, and answers."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

CALL_SECONDS = 180
END_SECONDS = 5


class AssistantFailed(Exception):
    """What it was told to do failed over there; carries the traceback."""


class Assistant:
    """`make()` is called in the process, in its event loop, which goes on between calls; `call` calls methods of what it made."""

    def __init__(self, make: Callable[[], object]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_live, args=(make, theirs), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def begin(self, method: str, **arguments: Any) -> None:
        """Call without waiting; the answer is to be fetched with `result` before the next call."""
        self._pipe.send((method, arguments))

    def result(self) -> Any:
        """The answer to what was begun. Raises `AssistantFailed`."""
        if not self._pipe.poll(CALL_SECONDS):
            raise AssistantFailed(f"no answer for {CALL_SECONDS} s")
        failed, answer = self._pipe.recv()
        if failed:
            raise AssistantFailed(answer)
        return answer

    def call(self, method: str, **arguments: Any) -> Any:
        """Call and wait for the answer. Raises `AssistantFailed`."""
        self.begin(method, **arguments)
        return self.result()

    def close(self) -> None:
        """It ends when nobody listens any more."""
        self._pipe.close()
        self._process.join(END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _live(make: Callable[[], object], pipe: Connection) -> None:
    asyncio.run(_obey(make, pipe))


async def _obey(make: Callable[[], object], pipe: Connection) -> None:
    made = make()
    gc.freeze()
    while True:
        try:
            method, arguments = await asyncio.to_thread(pipe.recv)
        except (EOFError, OSError):
            return
        try:
            answer = False, await getattr(made, method)(**arguments)
        except Exception:  # noqa: BLE001 - whatever it is, the caller is to know
            answer = True, traceback.format_exc()
        pipe.send(answer)
