"""`manage.py makegroups`: the groups viewer, auditor and operator."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chat.rights import make_groups


class Command(BaseCommand):
    help = "Make the groups viewer, auditor and operator, or give them what they lack. What they have beside that they keep."

    def handle(self, **options: Any) -> None:
        try:
            done = make_groups()
        except LookupError as error:
            raise CommandError(str(error)) from None
        for line in done:
            self.stdout.write(line)
        if not done:
            self.stdout.write("The groups have all that they need.")
