"""A part of a stack: something that runs as a process, and says under which number and where it writes."""

from __future__ import annotations

from pathlib import Path

from tests.parts.child import Child


class Part:
    """Whoever has one sets `_child` when it starts."""

    log: Path
    _child: Child | None = None

    def start(self) -> None:
        """Returns when it is ready. Raises `DiedEarly`, with its output, where it does not get there."""
        raise NotImplementedError  # each part has its own

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int:
        assert self._child
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """As `subprocess` has it: negative for a signal. None while it runs, and where it was never started."""
        return self._child.process.poll() if self._child else None

    def output(self) -> str:
        """What the present process wrote so far."""
        return self._child.output() if self._child else ""
