"""What everything is measured against: a consumer that sends each token by `self.send`, and does nothing else.

`python -m tests.bench.bare` serves it with the site's own server class and prints its port. No login, no log, no group, no
second process, no coalescing.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter

from tests.bench.tokens import LENGTH, token
from tests.parts.child import Child

if TYPE_CHECKING:
    from reasoning_site.server import SiteServer

START_SECONDS = 30
TOP = Path(__file__).resolve().parents[2]


class BareConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types
    """Answers `bench:COUNT:RATE` as the model does. At the path `/silent` it tells everything at its end, each token with the
    moment that it would have been sent at: what is left is the cost of the pacing.
    """

    answering: asyncio.Task[None] | None = None

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        asked = re.search(r"bench:(\d+):([\d.]+)", text_data or "")
        assert asked
        self.answering = asyncio.create_task(self._answer(int(asked[1]), float(asked[2])))

    async def disconnect(self, code: int) -> None:
        if self.answering is not None:
            self.answering.cancel()

    async def _answer(self, count: int, rate: float) -> None:
        is_silent = self.scope["path"] == "/silent"
        untold: list[tuple[float, int, str]] = []
        began = time.monotonic()
        for number in range(count):
            if rate:
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            content = token(number, time.monotonic())
            if is_silent:
                untold.append((time.monotonic(), number * LENGTH, content))
            else:
                data = {"offset": number * LENGTH, "content": content}
                await self.send(text_data=json.dumps({"type": "token", "data": data}))
        await self.send(text_data=json.dumps({"type": "end", "data": {"untold": untold}}))


class BareServer:
    """The process. `origin` is for `ws://`."""

    def __init__(self, folder: Path) -> None:
        self._child = Child(
            [sys.executable, "-m", "tests.bench.bare"],
            log=folder / "bare.log",
            env={"DATA_DIR": str(folder), "PYTHONUNBUFFERED": "1"},
            cwd=TOP,
        )
        self._child.wait_until(lambda: "port=" in self._child.output(), timeout=START_SECONDS)
        self.pid = self._child.pid
        self.origin = f"ws://127.0.0.1:{self._child.output().partition('port=')[2].split()[0]}"

    def close(self) -> None:
        if self._child.running:
            self._child.kill()


def serve() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "reasoning_site.settings"
    django.setup()
    # Not before: it reads the settings.
    from reasoning_site import server

    application: Any = ProtocolTypeRouter({"websocket": BareConsumer.as_asgi()})
    server.SiteServer(application, host="127.0.0.1", port=0, ready=_tell).run()


def _tell(server: SiteServer) -> None:
    sys.stdout.write(f"port={server.port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
