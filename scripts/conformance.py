"""WebSocket conformance of our server: the Autobahn cases, by kosoku, against an echo application on `reasoning_site.server`.

`python scripts/conformance.py` prints a table by section; the exit code is 1 if a case failed that is not named in KNOWN.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
# Daphne drops an empty message, and each of these sends one.
KNOWN = {"1.1.1", "1.2.1", "6.1.1", "6.1.2", "9.7.1", "9.8.1"}
# Compression, which Daphne does not offer.
LEFT_OUT = ("12.*", "13.*")
SECTIONS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "close handshake",
    "9": "limits and performance",
    "10": "automatic fragmentation",
}


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Sends each message back as it came."""
    while True:
        event = await receive()
        match event["type"]:
            case "websocket.connect":
                await send({"type": "websocket.accept"})
            case "websocket.receive":
                await send({**event, "type": "websocket.send"})
            case "websocket.disconnect":
                return


def cases(address: str, folder: Path) -> dict[str, str]:
    """How each case went, by its id. In a process of its own: the suite brings its own parts of a library that we use, too."""
    words = [str(Path(sys.executable).with_name("kosoku")), "-p", "2", "-o", str(folder)]
    words += [word for pattern in LEFT_OUT for word in ("-x", pattern)]
    subprocess.run([*words, address], stdout=sys.stderr, check=False)
    (agents,) = json.loads((folder / "index.json").read_text()).values()
    return {case: result["behavior"] for case, result in agents.items()}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="glassbox-conformance-") as folder:
        os.environ |= {"DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "reasoning_site.settings"}
        sys.path.insert(0, str(TOP))
        import django
        from django.conf import settings

        django.setup()
        # The suite sends messages of up to 16 MiB; the site's own bound is tested by itself.
        settings.DAPHNE_WEBSOCKET_MAX_MESSAGE_SIZE = settings.DAPHNE_WEBSOCKET_MAX_FRAME_SIZE = 64 * 1024 * 1024
        from reasoning_site.server import SiteServer

        outcomes: dict[str, str] = {}

        def drive(server: Any) -> None:
            try:
                outcomes.update(cases(f"ws://127.0.0.1:{server.port}", Path(folder) / "report"))
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        server = SiteServer(
            echo,
            host="127.0.0.1",
            port=0,
            ready=lambda server: threading.Thread(target=drive, args=(server,), daemon=True).start(),
        )
        server.run()
    return report(outcomes)


def report(outcomes: dict[str, str]) -> int:
    sections: dict[str, Counter[str]] = defaultdict(Counter)
    for case, outcome in outcomes.items():
        sections[case.split(".")[0]][outcome] += 1
    for section, counts in sorted(sections.items(), key=lambda item: int(item[0])):
        print(f"{section:>3} {SECTIONS.get(section, ''):<26}", ", ".join(f"{n} {name}" for name, n in counts.items()))
    failed = {case for case, outcome in outcomes.items() if re.search("fail|wrong|bad", outcome, re.IGNORECASE)}
    print(f"{len(outcomes)} cases, {len(failed)} failed: {', '.join(sorted(failed)) or 'none'}")
    return 1 if failed - KNOWN or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
