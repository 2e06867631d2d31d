"""What a model may say and a database or a client may not take: it is made fit on the way, and ends no run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chat.protocol import Code
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import Call, ScriptedModel


@pytest.mark.parametrize(
    "call",
    [
        Call("calculator", {"expression": "1+1", "more": float("inf")}),
        Call("calculator", {"expression": "1+1", "more": [float("nan")]}),
        Call("calc\ud800ulator", {"expression": "1+1"}),
        Call("calculator", {"expression": "1+1"}, id="a\ud800b"),
        Call("x" * 300, {}, id="y" * 300),
        Call("nothing\x00", {}, id="z\x00"),
    ],
)
async def test_a_tool_call_that_no_database_takes(inside: InProcessSite, settings: Any, call: Call) -> None:
    """Whatever a model makes up as name, id or arguments of a call is recorded in a form that can be kept."""
    settings.MODEL = ScriptedModel([call], ["done"])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until_ended(run_id)
    assert tab.tab.runs[run_id].state == "completed", [frame for frame in tab.frames if frame["type"] == "error"]
    assert tab.tab.transcript() == await inside.transcript("s-1")


async def test_what_is_sent_is_always_json(inside: InProcessSite) -> None:
    """A number that Python can hold and JSON can't is refused, not sent back."""
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    await tab.send_raw('{"type":"ping","timestamp":1e400}')
    error = await tab.until_frame("error")
    assert error["data"]["code"] == Code.BAD_FIELD
    assert "Infinity" not in json.dumps(tab.frames)
