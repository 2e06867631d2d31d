"""The ledger: a file of effects, one a line. What is written is on the disk before the tool says so."""

from __future__ import annotations

import os
from pathlib import Path

from tests.chaos.evidence import Effect


def write(path: Path, *, tool: str, mark: str) -> None:
    """Append one effect, in one piece."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{tool} {mark}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> list[Effect]:
    """All effects so far, in order."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [Effect(tool=tool, mark=mark) for tool, mark in (line.split(" ") for line in lines)]
