"""The way to the database: what passes by itself is tried again, what nobody knows is not."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from django.db import InternalError
from psycopg.errors import IdleInTransactionSessionTimeout, InvalidTransactionState, ReadOnlySqlTransaction

from chat import events
from tests.chat.test_faults import failing_once, holding
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import ScriptedModel


@pytest.mark.parametrize(
    ("cause", "is_tried_again"),
    [(IdleInTransactionSessionTimeout, True), (ReadOnlySqlTransaction, True), (InvalidTransactionState, False)],
)
async def test_what_postgresql_gave_up_is_tried_again(
    inside: InProcessSite,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    cause: type[psycopg.Error],
    is_tried_again: bool,
) -> None:
    """A process that was frozen in a transaction finds it gone, one that was failed over finds a server that takes no writes:
    neither is the run's fault. What nobody knows ends it.
    """
    record, tries = events.record_steps, iter([InternalError("given up")])

    def give_up(*arguments: Any, **named: Any) -> Any:
        for error in tries:
            raise error from cause()
        return record(*arguments, **named)

    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["a", gate, "b"])
    tab = await inside.tab(await inside.user())
    run_id = await holding(tab)
    met = failing_once(monkeypatch, events, "record_steps", give_up)
    gate.set()
    await asyncio.wait_for(met.wait(), 5)
    await tab.until_ended(run_id)
    assert tab.tab.runs[run_id].state == ("completed" if is_tried_again else "failed")
