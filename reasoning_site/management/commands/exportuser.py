"""`manage.py exportuser`: all that the site has of a user, as a zip."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from chat import personal_export


class Command(BaseCommand):
    help = "Write all that the site has of a user into a zip, one file of JSON lines for each table."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the user's name")
        parser.add_argument("--output", required=True, type=Path, help="the file to write, which must not exist yet")

    def handle(self, *, name: str, output: Path, **options: Any) -> None:
        user = get_user_model()._default_manager.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user {name}.")
        try:
            # Nobody else's to read.
            output.touch(mode=0o600, exist_ok=False)
            with output.open("wb") as file:
                counts = personal_export.write_zip(user, file)
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from None
        for table, count in counts.items():
            self.stdout.write(f"{table}: {count}")
        self.stdout.write(f"Written to {output}.")
