"""`manage.py importtranscripts`: take in transcripts that were taken out as JSON Lines."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from chat.transcripts.lines import BadFile
from chat.transcripts.taking_in import Outcome, take_in


class Command(BaseCommand):
    help = (
        "Take in the sessions of a file of JSON Lines, each whole or not at all. Taken in twice, a file changes nothing. Runs that"
        " had not ended when they were taken out are stopped."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the file; - is the standard input")
        parser.add_argument(
            "--owner",
            metavar="NAME",
            help="give all sessions to this user, who must be there (default: to the users of the same names; who is not there is"
            " made, and can't sign in)",
        )

    def handle(self, *, file: str, owner: str | None, **options: Any) -> None:
        user = None
        if owner is not None:
            user = get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: owner}).first()
            if user is None:
                raise CommandError(f"There is no user {owner!r}.")
        outcomes = Counts()
        try:
            with sys.stdin.buffer if file == "-" else Path(file).open("rb") as source:
                for outcome in take_in(source, owner=user):
                    self._tell(outcome)
                    outcomes.add(outcome)
        except BadFile as error:
            raise CommandError(f"{error}\n{outcomes}") from None
        except OSError as error:
            raise CommandError(f"{file} can't be read: {error.strerror}.") from None
        self.stdout.write(str(outcomes))
        if outcomes.refused:
            raise CommandError("Not everything was taken in.")

    def _tell(self, outcome: Outcome) -> None:
        if outcome.conflict:
            self.stderr.write(f"Session {outcome.public_id} is refused: {outcome.conflict}.")
        elif outcome.was_there:
            return
        if outcome.new_user:
            self.stderr.write(
                f"User {outcome.new_user!r} was not there, and was made; nobody can sign in by that name."
            )
        if outcome.stopped:
            self.stderr.write(
                f"Session {outcome.public_id}: {outcome.stopped} runs had not ended when they were taken out; they are stopped."
            )
        if outcome.renumbered:
            self.stderr.write(
                f"Session {outcome.public_id} was taken out in part; its events are numbered anew, without gaps."
            )


class Counts:
    def __init__(self) -> None:
        self.taken_in = self.were_there = self.refused = self.runs = self.events = 0

    def add(self, outcome: Outcome) -> None:
        if outcome.conflict:
            self.refused += 1
        elif outcome.was_there:
            self.were_there += 1
        else:
            self.taken_in += 1
            self.runs += outcome.runs
            self.events += outcome.events

    def __str__(self) -> str:
        return (
            f"{self.taken_in} sessions were taken in ({self.runs} runs, {self.events} events), {self.were_there} were there"
            f" already, {self.refused} were refused."
        )
