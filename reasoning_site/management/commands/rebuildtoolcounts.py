"""`manage.py rebuildtoolcounts`: the counts of tool calls, anew from the steps."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from chat import tool_counts


class Command(BaseCommand):
    help = (
        "Count anew, from the steps, how often each run called which tool and how often that failed: for rows that were written "
        "past the site, from a backup for example. May run beside everything else."
    )

    def handle(self, **options: Any) -> None:
        self.stdout.write(f"Counted {tool_counts.rebuild():,} runs anew.")
