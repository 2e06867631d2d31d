"""`manage.py exporttranscripts`: take transcripts out, all or some, into a file or to the standard output."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from chat.models import Feedback, Run, RunState
from chat.transcripts.form import About
from chat.transcripts.forms import FORMS
from chat.transcripts.parts import parts
from chat.transcripts.resumable import CannotResume, ResumableFile
from chat.transcripts.selection import Selection, ids_of, last_event, ordered
from reasoning_site.progress import Progress


class Command(BaseCommand):
    help = (
        "Write transcripts to a file: whole runs, of the sessions of all users, private ones included. Whoever may run it may read"
        " the database as well; nobody's reading is recorded."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=FORMS, default="jsonl", help="(default: %(default)s)")
        parser.add_argument("--output", required=True, metavar="FILE", help="where to write; - is the standard output")
        parser.add_argument(
            "--resume", action="store_true", help="go on with a file that was broken off; all else is as it was begun"
        )
        parser.add_argument("--user", action="append", metavar="NAME", help="sessions of this user; may be repeated")
        parser.add_argument("--session", action="append", metavar="ID", help="this session; may be repeated")
        parser.add_argument("--agent", action="append", help="runs of this agent; may be repeated")
        parser.add_argument("--model", action="append", help="runs of this model; may be repeated")
        parser.add_argument(
            "--state", action="append", choices=RunState.values, help="runs in this state; may be repeated"
        )
        parser.add_argument("--feedback", choices=("up", "down"), help="runs with this thumb")
        parser.add_argument(
            "--since", type=_moment, metavar="TIME", help="runs asked for at this time or later, in UTC"
        )
        parser.add_argument("--until", type=_moment, metavar="TIME", help="runs asked for before this time, in UTC")
        parser.add_argument("--without-private", action="store_true", help="leave private sessions out")

    def handle(self, *, output: str, resume: bool, **options: Any) -> None:
        if output == "-":
            if resume:
                raise CommandError("What went to the standard output can't be gone on with: --resume needs a file.")
            self._stream(sys.stdout.buffer, *_selection(options))
            return
        file = ResumableFile(Path(output))
        try:
            if resume:
                form, selection, at = file.reopen()
                self._say(f"Going on with {file.path}: {at.run} of {len(selection.runs)} runs are written.")
            else:
                form, selection = _selection(options)
                at = file.begin(form, selection)
        except (CannotResume, OSError) as error:
            raise CommandError(str(error)) from None
        progress = Progress(self.stderr, len(selection.runs), begun=at.run)
        with file:
            for part in parts(selection, FORMS[form], at):
                file.write(part)
                progress.show(len(selection.runs) if part.next is None else part.next.run, file.size)
        file.finish()
        progress.close()
        self._say(f"{len(selection.runs)} runs are in {file.path}, {file.size} bytes.")

    def _stream(self, out: BinaryIO, form: str, selection: Selection) -> None:
        progress = Progress(self.stderr, len(selection.runs))
        size = 0
        try:
            for part in parts(selection, FORMS[form]):
                size += out.write(part.content)
                progress.show(len(selection.runs) if part.next is None else part.next.run, size)
            out.flush()
        except BrokenPipeError:
            raise CommandError("Nobody reads the standard output any more.") from None
        progress.close()

    def _say(self, text: str) -> None:
        self.stderr.write(text, str)


def _moment(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _selection(options: dict[str, Any]) -> tuple[str, Selection]:
    runs = ids_of(ordered(_filtered(options)))
    about = About(runs=len(runs), described=_described(options))
    return options["format"], Selection(runs=runs, last_event=last_event(), reader=None, about=about)


FILTERS = {
    "user": "session__owner__username__in",
    "session": "session__public_id__in",
    "agent": "agent__in",
    "model": "model__in",
    "state": "state__in",
    "since": "created_at__gte",
    "until": "created_at__lt",
}


def _filtered(options: dict[str, Any]) -> QuerySet[Run]:
    runs = Run.objects.filter(**{field: options[name] for name, field in FILTERS.items() if options[name]})
    if options["feedback"]:
        runs = runs.filter(feedback__thumb=Feedback.UP if options["feedback"] == "up" else Feedback.DOWN)
    if options["without_private"]:
        runs = runs.filter(session__is_private=False)
    return runs


def _described(options: dict[str, Any]) -> str:
    """The filters in words."""
    names = [*FILTERS, "feedback"]
    said = [
        f"{name} {', '.join(map(str, options[name])) if isinstance(options[name], list) else options[name]}"
        for name in names
        if options[name]
    ]
    return "; ".join(said + ["without private sessions"] * options["without_private"]) or "All runs"
