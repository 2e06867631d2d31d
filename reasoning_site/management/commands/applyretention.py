"""`manage.py applyretention`: delete what is older than the rules of its agents say. The site does so by itself once a day."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand

from chat import deletion, retention


class Command(BaseCommand):
    help = "Delete the sessions that are older than the retention rules of their agents say."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        due = retention.due().count()
        if dry_run:
            self.stdout.write(f"{due} sessions would be deleted.")
            return
        deleted = 0
        for gone in retention.apply():
            async_to_sync(deletion.tell_gone)(gone)
            deleted += len(gone)
            self.stdout.write(f"{deleted} of {due} …")
        self.stdout.write(f"{deleted} sessions deleted.")
