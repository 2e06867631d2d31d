"""A file that grows part by part, and can be gone on with after its process was killed: in the end it has the same bytes.

Beside `FILE` there are `FILE.part`, which becomes it in the end, and `FILE.resume`: what was selected, since other runs would match
by then, and after each part, how many bytes are surely on the disk and where the next one begins.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from chat.transcripts.form import About
from chat.transcripts.forms import FORMS
from chat.transcripts.parts import Cursor, Part
from chat.transcripts.selection import Selection

VERSION = 1


class CannotResume(Exception):
    """There is nothing to go on with, or something in the way; says what can be done."""


class ResumableFile:
    """`begin` or `reopen`, then `write` in a `with`, then `finish`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._part = path.with_name(path.name + ".part")
        self._journal = path.with_name(path.name + ".resume")
        self._files = contextlib.ExitStack()
        self._out: BinaryIO
        self._log: BinaryIO

    def begin(self, form: str, selection: Selection) -> Cursor:
        """Begin anew. Raises `CannotResume` where a file is in the way, and `OSError`."""
        for found in (self.path, self._part, self._journal):
            if found.exists():
                way = (
                    "choose another name or remove it"
                    if found == self.path
                    else "go on with it by --resume or remove it"
                )
                raise CannotResume(f"{found} is there already: {way}.")
        about = selection.about
        head = {
            "version": VERSION,
            "format": form,
            "last_event": selection.last_event,
            "runs": len(selection.runs),
            "described": about.described,
            "at": about.at.isoformat() if about.at else None,
        }
        for file in (self._part, self._journal):
            # What is private is among it: nobody else on the machine reads it.
            file.touch(mode=0o600, exist_ok=False)
        self._out = self._files.enter_context(self._part.open("r+b"))
        self._log = self._files.enter_context(self._journal.open("r+b"))
        self._log.write(json.dumps(head).encode() + b"\n")
        for run in selection.runs:
            self._log.write(run.encode() + b"\n")
        self._keep(self._log)
        return Cursor()

    def reopen(self) -> tuple[str, Selection, Cursor]:
        """Go on where the last whole part ended. Raises `CannotResume`."""
        try:
            return self._reopen()
        except CannotResume:
            self._files.close()
            raise

    def _reopen(self) -> tuple[str, Selection, Cursor]:
        try:
            with self._journal.open("rb") as journal:
                kept = [line for line in journal if line.endswith(b"\n")]
            self._out = self._files.enter_context(self._part.open("r+b"))
        except FileNotFoundError as error:
            done = f" {self.path} is there, and whole." if self.path.exists() else ""
            raise CannotResume(f"There is no {error.filename} to go on with.{done}") from None
        try:
            head = json.loads(kept[0])
            runs = [line.decode().strip() for line in kept[1 : head["runs"] + 1]]
            if head["version"] != VERSION or len(runs) != head["runs"] or head["format"] not in FORMS:
                raise ValueError
            if not all(re.fullmatch("[0-9a-f]{32}", run) for run in runs):
                raise ValueError
            self.size, place = 0, str(Cursor())
            for line in kept[head["runs"] + 1 :]:
                size, place = line.decode().split()
                self.size = int(size)
            at = Cursor.parse(place)
            about = About(
                runs=len(runs),
                described=head["described"],
                at=datetime.fromisoformat(head["at"]) if head["at"] else None,
            )
            selection = Selection(runs=runs, last_event=head["last_event"], reader=None, about=about)
        except (ValueError, KeyError, IndexError, TypeError):
            raise CannotResume(f"{self._journal} can't be read: remove it and {self._part}, and begin anew.") from None
        if self._part.stat().st_size < self.size:
            raise CannotResume(f"{self._part} is shorter than it was: remove it and {self._journal}, and begin anew.")
        # What was written after the last whole part, and a line of the journal that was cut off.
        self._out.truncate(self.size)
        self._out.seek(self.size)
        with self._journal.open("r+b") as journal:
            journal.truncate(sum(map(len, kept)))
        self._log = self._files.enter_context(self._journal.open("ab"))
        return head["format"], selection, at

    def write(self, part: Part) -> None:
        """Return when the part is on the disk, and that it is."""
        self.size += self._out.write(part.content)
        self._keep(self._out)
        if part.next is not None:
            self._log.write(f"{self.size} {part.next}\n".encode())
            self._keep(self._log)

    @staticmethod
    def _keep(file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())

    def finish(self) -> None:
        """Give the file its name."""
        self._part.replace(self.path)
        self._journal.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._files.close()
