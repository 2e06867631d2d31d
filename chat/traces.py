"""Traces of runs, where `OTEL_EXPORTER_OTLP_ENDPOINT` is set. A run only says that an attempt at it has ended: the spans are made
from what is recorded, afterwards and on a thread of their own. No token, no run and no end of a process waits for a collector.
"""

from __future__ import annotations

import atexit
import logging
import threading
from queue import SimpleQueue

from django.conf import settings
from django.db import connection

logger = logging.getLogger(__name__)

# How long the end of a process may wait until the last spans are sent.
EXIT_SECONDS = 2.0


class Tracing(threading.Thread):
    """Makes and sends the spans of this process's attempts, the one after the other."""

    def __init__(self) -> None:
        # The process may end while a collector hangs.
        super().__init__(name="traces", daemon=True)
        self._ended: SimpleQueue[tuple[str, int] | None] = SimpleQueue()

    def add(self, run_id: str, attempt: int) -> None:
        self._ended.put((run_id, attempt))

    def run(self) -> None:
        # Not at the top: a site without traces starts without OpenTelemetry.
        from chat.spans import Spans

        spans = Spans()
        while (ended := self._ended.get()) is not None:
            try:
                spans.make(*ended)
            except Exception as error:  # noqa: BLE001 - a trace that can't be made is no reason to lose the others
                logger.warning("The trace of run %s could not be made: %s", ended[0], type(error).__name__)
            finally:
                # This thread is no request's; nobody else would close its connection.
                connection.close()
        spans.send_the_rest()

    def close(self) -> None:
        """Send what is left, if that takes no longer than `EXIT_SECONDS`."""
        self._ended.put(None)
        self.join(EXIT_SECONDS)


_tracing: Tracing | None = None


def attempt_ended(run_id: str, attempt: int) -> None:
    """This process has ended its attempt at a run, or has left the run to another one. Returns at once."""
    global _tracing  # noqa: PLW0603 - of the process, as its thread is
    if not settings.TRACES:
        return
    if _tracing is None:
        _tracing = Tracing()
        _tracing.start()
        atexit.register(_tracing.close)
    _tracing.add(run_id, attempt)


def close() -> None:
    """Send what is left; the next attempt that ends begins anew."""
    global _tracing  # noqa: PLW0603 - of the process, as its thread is
    if _tracing is not None:
        atexit.unregister(_tracing.close)
        _tracing.close()
        _tracing = None
