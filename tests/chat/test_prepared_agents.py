"""What a process makes once for all runs."""

from __future__ import annotations

import gc
from typing import Any

from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import ScriptedModel


async def test_what_was_imported_for_runs_is_not_looked_through_for_garbage(
    inside: InProcessSite, settings: Any
) -> None:
    """Each look would stop every run for a third of a second."""
    gc.unfreeze()
    settings.MODEL = ScriptedModel(["Done."])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("go"))
    assert gc.get_freeze_count() > 100_000
