"""`manage.py serve`: prepare what is missing, then serve. It is what `make run` calls."""

from __future__ import annotations

import errno
import os
import socket
import threading
from argparse import ArgumentParser
from typing import Any

from channels.routing import get_default_application
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from reasoning_site import bounded_connection
from reasoning_site.first_admin import first_admin_path
from reasoning_site.installation import prepare
from reasoning_site.server import SiteServer, public_host, wait_until_it_answers


class Command(BaseCommand):
    help = "Make what the site needs (database, static files, secret key), then serve it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
        parser.add_argument("--port", type=int, default=settings.PORT, help="0 is any free one (default: %(default)s)")
        parser.add_argument(
            "--public-port", type=int, help="the port of a proxy on this machine that leads here, to be told"
        )

    def handle(self, *, host: str, port: int, public_port: int | None, **options: Any) -> None:
        # The database and everything else we make is nobody else's to read, also in a directory that is open to all.
        os.umask(0o077)
        try:
            _refuse_taken_port(host, port)
            prepare(self._say)
            self._serve(host, port, public_port)
        except KeyboardInterrupt:
            pass
        self._say("Stopped.")

    def _serve(self, host: str, port: int, public_port: int | None) -> None:
        # Not sooner: what prepares the database may take its time.
        bounded_connection.bound(settings.DATABASE_SECONDS)
        path = first_admin_path()

        def announce(server: SiteServer) -> None:
            # In a thread, as it asks the server and waits for the answer.
            threading.Thread(target=self._announce, args=(server, host, public_port, path), daemon=True).start()

        server = SiteServer(get_default_application(), host=host, port=port, ready=announce)
        server.run()
        if server.abort_start:
            raise CommandError(_cannot_listen(host, port, "it was taken a moment ago"))

    def _announce(self, server: SiteServer, host: str, public_port: int | None, path: str | None) -> None:
        """Once the site answers, say where it is and, if `path` makes its first administrator, how to get in."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        if not wait_until_it_answers(reachable, server.port):
            self.stderr.write("The site does not answer. Its log says why; Ctrl-C stops it.")
            return
        name = f"[{reachable}]" if ":" in reachable else reachable
        address = f"https://{public_host()}" if settings.HTTPS else f"http://{name}:{public_port or server.port}"
        self._say(f"Glassbox is at {address}/ (Ctrl-C stops it)")
        if path is not None:
            hours = settings.FIRST_ADMIN_SECONDS // 3600
            self._say(f"It has no administrator yet. This link makes the first one, once, within {hours} hours:")
            self._say(f"  {address}{path}")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        # Whoever reads this through a pipe waits for it.
        self.stdout.flush()


def _refuse_taken_port(host: str, port: int) -> None:
    """Raises CommandError before any work is done, with a sentence that says what to do."""
    if not 0 <= port <= 65535:
        raise CommandError(f"There is no port {port}; ports go up to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server will: else a port that was in use a minute ago counts as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        reasons = {errno.EADDRINUSE: "another program uses it", errno.EACCES: "it is not yours to use"}
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        raise CommandError(_cannot_listen(host, port, reason)) from None


def _cannot_listen(host: str, port: int, reason: str) -> str:
    return f"Cannot listen on port {port} of {host}: {reason}. Choose another port, for example PORT={port + 1}."
