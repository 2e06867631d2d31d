"""`manage.py agentworker`: drive runs. As many as one likes may run, on as many machines."""

from __future__ import annotations

import asyncio
import signal
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents import registry
from reasoning_site import bounded_connection, metrics, pulse

ENDING = (signal.SIGINT, signal.SIGTERM)


class Command(BaseCommand):
    help = "Take runs from the queue and drive them, until told to end; then let others go on with them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--concurrency",
            type=int,
            default=settings.AGENT_CONCURRENCY,
            help="how many runs at once (default: %(default)s)",
        )
        parser.add_argument(
            "--metrics-port",
            type=int,
            default=0,
            help="where Prometheus may read the worker's metrics; 0 is nowhere (default: %(default)s)",
        )
        parser.add_argument(
            "--metrics-host",
            default=settings.METRICS_HOST,
            help="the address of that port; whoever reaches it may read them (default: %(default)s)",
        )
        parser.add_argument("--queues", default="", help="the queues to serve, separated by commas (default: all)")

    def handle(self, *, concurrency: int, queues: str, metrics_port: int, metrics_host: str, **options: Any) -> None:
        if not settings.HAS_WORKERS:
            raise CommandError(
                "Workers need PostgreSQL: set DATABASE_URL. Without it the web process drives runs itself."
            )
        if concurrency < 1:
            raise CommandError("--concurrency must be 1 or more.")
        if metrics_port:
            try:
                metrics.serve(metrics_host, metrics_port)
            except (OSError, OverflowError) as error:
                raise CommandError(
                    f"Metrics cannot be served at {metrics_host} port {metrics_port}: {error}."
                ) from None
        bounded_connection.bound(settings.DATABASE_SECONDS)
        asyncio.run(self._work(concurrency, _named(queues)))
        self._say("Stopped.")

    async def _work(self, concurrency: int, queues: list[str] | None) -> None:
        # Not at the top: it needs the queue's tables, which there are only with PostgreSQL.
        from chat.worker import work

        stop = asyncio.Event()
        _on_first_signal(stop.set)
        await work(
            concurrency=concurrency,
            queues=queues,
            connection_class=bounded_connection.BoundedAsyncConnection,
            ready=self._announce,
            stop=stop,
        )

    def _announce(self, name: str) -> None:
        if settings.PULSE_FILE:
            self._beating = asyncio.create_task(pulse.beat(Path(settings.PULSE_FILE)))
        self._say(f"Agent worker {name} is ready")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        # Whoever reads this through a pipe waits for it.
        self.stdout.flush()


def _on_first_signal(call: Callable[[], None]) -> None:
    """Call once told to end; told again, the process ends at once, as a killed one does."""
    loop = asyncio.get_running_loop()

    def told_to_end() -> None:
        for number in ENDING:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        call()

    for number in ENDING:
        loop.add_signal_handler(number, told_to_end)


def _named(queues: str) -> list[str] | None:
    """The queues of the list, None where it is empty. Raises `CommandError` for one that no agent uses."""
    names = [name.strip() for name in queues.split(",") if name.strip()]
    if unknown := set(names) - set(registry.queues()):
        raise CommandError(f"No agent uses {', '.join(sorted(unknown))}; there are {', '.join(registry.queues())}.")
    return names or None
