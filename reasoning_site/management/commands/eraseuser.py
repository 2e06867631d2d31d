"""`manage.py eraseuser`: erase all that the site has of a user, for good."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from chat import erasure


class Command(BaseCommand):
    help = "Erase all that the site has of a user, in every table, cache and file. It cannot be undone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the user's name")
        parser.add_argument("--dry-run", action="store_true", help="say what would be erased, and erase nothing")
        parser.add_argument("--no-input", action="store_true", help="do not ask whether you mean it")

    def handle(self, *, name: str, dry_run: bool, no_input: bool, **options: Any) -> None:
        user = get_user_model()._default_manager.filter(username=name).first()
        if user is None:
            raise CommandError(f"There is no user {name}.")
        try:
            if dry_run:
                for label, count in erasure.found(user).items():
                    self.stdout.write(f"{label}: {count}")
                erasure.check(user)
                self.stdout.write("Nothing keeps it from being erased.")
                return
            erasure.check(user)
            if not no_input and input(f"This cannot be undone. Type {name} to erase the user: ") != name:
                raise CommandError("Nothing was erased.")
            erasure.erase(user, self.stdout.write)
        except erasure.Refused as refused:
            raise CommandError(str(refused)) from None
