"""Frames that are not valid, floods, and clients that read too slowly."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chat.database import query
from chat.models import Event
from chat.protocol import Close, Code
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import ScriptedModel

FRAMES = json.loads((Path(__file__).parents[1] / "frames.json").read_text())


def types(tab: InProcessTab) -> list[str]:
    return [frame["type"] for frame in tab.frames]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"text": "{"}, Code.NOT_JSON),
    ({"text": ""}, Code.NOT_JSON),
    ({"text": '{"type":"ping","timestamp":NaN}'}, Code.NOT_JSON),
    ({"text": '{"type":"ping","timestamp":-Infinity}'}, Code.NOT_JSON),
    ({"text": "[]"}, Code.NOT_AN_OBJECT),
    ({"text": '"chat"'}, Code.NOT_AN_OBJECT),
    ({"text": "[" * 20_000}, Code.TOO_DEEP),
    ({"text": '{"type":"ping","x":' + "[" * 40 + "]" * 40 + "}"}, Code.TOO_DEEP),
    ({"text": "{}"}, Code.UNKNOWN_TYPE),
    ({"text": '{"type":"dance"}'}, Code.UNKNOWN_TYPE),
    ({"text": '{"type":{"a":1}}'}, Code.UNKNOWN_TYPE),
    ({"text": '{"type":"recorded","seq":1,"texts":["x"]}'}, Code.UNKNOWN_TYPE),
    ({"text": '{"type":"login.ended"}'}, Code.UNKNOWN_TYPE),
    ({"text": '{"type":"chat"}'}, Code.BAD_FIELD),
    ({"text": '{"type":"chat","payload":{"message":""}}'}, Code.BAD_FIELD),
    ({"text": '{"type":"chat","payload":{"message":"  \\n"}}'}, Code.BAD_FIELD),
    ({"text": '{"type":"chat","payload":{"message":7}}'}, Code.BAD_FIELD),
    ({"text": '{"type":"chat","payload":{"message":"x","enable_reasoning":"yes"}}'}, Code.BAD_FIELD),
    ({"text": '{"type":"chat","payload":{"message":"x"},"client_id":"no spaces"}'}, Code.BAD_FIELD),
    ({"text": '{"type":"resume","after":-1}'}, Code.BAD_FIELD),
    ({"text": '{"type":"resume","after":"1"}'}, Code.BAD_FIELD),
    ({"text": '{"type":"resume","after":1e400}'}, Code.BAD_FIELD),
    ({"text": '{"type":"remove","run_id":"x"}'}, Code.UNKNOWN_RUN),
    ({"text": '{"type":"chat","payload":{"message":"a\\u0000b"}}'}, Code.BAD_TEXT),
    ({"text": '{"type":"chat","payload":{"message":"\\ud800"}}'}, Code.BAD_TEXT),
    ({"text": '{"type":"ping","timestamp":"' + "x" * 65536 + '"}'}, Code.TOO_LARGE),
    ({"binary": b'{"type":"ping"}'}, Code.BINARY),
]


async def test_a_frame_that_is_not_valid_gets_one_error(inside: InProcessSite, settings: Any) -> None:
    """One `error` with a code and a sentence for each, nothing recorded, and the socket stays up."""
    settings.FRAMES_AT_ONCE = 10_000
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    for bad, code in REFUSED:
        seen = len(tab.frames)
        await tab.send_raw(bad.get("text"), binary=bad.get("binary"))
        await tab.send("ping", timestamp=1)
        await tab.until_frame("pong", seen)
        assert [frame["type"] for frame in tab.frames[seen:]] == ["error", "pong"], bad
        assert tab.frames[seen]["data"]["code"] == code, (bad, tab.frames[seen])
        assert tab.frames[seen]["data"]["message"].endswith(".")
    assert await query(Event.objects.count) == 0


async def test_the_shared_commands_are_read_as_the_page_sends_them() -> None:
    """`tests/frames.json`, which the page's tests read too: what is accepted there is accepted here, and so refused."""
    from chat import protocol

    assert FRAMES["commands"]["accepted"]
    for frame in FRAMES["commands"]["accepted"]:
        assert protocol.parse(json.dumps(frame)).type == frame["type"]
    for bad in FRAMES["commands"]["refused"]:
        text = bad["text"] if "text" in bad else json.dumps(bad["frame"])
        with pytest.raises(protocol.Refused) as caught:
            protocol.parse(text)
        assert caught.value.code == bad["code"], bad


async def test_a_flood_is_slowed_then_closed(inside: InProcessSite, settings: Any) -> None:
    """A client that never pauses is told why and closed with a code that lets it come back."""
    settings.FRAMES_AT_ONCE, settings.FRAMES_PER_SECOND = 5, 10
    tab = await inside.tab(await inside.user(), resuming=False)
    for _ in range(60):
        await tab.send("ping")
    assert await tab.until_closed(timeout=15) == Close.FLOOD
    assert tab.frames[-1]["data"]["code"] == Code.RATE_LIMITED
    assert 5 < types(tab).count("pong") < 60


async def test_a_client_that_does_not_acknowledge_is_cut_off(inside: InProcessSite, settings: Any) -> None:
    """Past the bound of unacknowledged bytes nothing more is sent, then the socket closes; back again, the client gets
    the rest.
    """
    settings.UNACKNOWLEDGED_BYTES, settings.SLOW_SECONDS = 30_000, 0.5
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel([gate, *["word " * 100] * 200])
    user = await inside.user()
    slow = await inside.tab(user)
    run_id = await slow.say("Write much")
    gate.set()
    assert await slow.until_closed() == Close.TOO_SLOW
    assert sum(len(json.dumps(frame)) for frame in slow.frames) < 200_000
    settings.UNACKNOWLEDGED_BYTES = 10**6
    again = await inside.tab(user)
    await again.until_ended(run_id)
    await again.until_current()
    assert again.tab.transcript() == await inside.transcript("s-1")


async def test_a_reader_that_is_behind_for_a_while_catches_up(inside: InProcessSite, settings: Any) -> None:
    """Acknowledging in time, a slow client keeps its socket and ends with everything, text in the making included."""
    settings.UNACKNOWLEDGED_BYTES, settings.DELTA_SECONDS = 30_000, 0
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["word " * 100] * 200 + [gate, "end"])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("Write much")
    async with asyncio.timeout(10):
        while run_id not in tab.tab.runs or not any(
            len(d.text) >= 100_000 for d in tab.tab.runs[run_id].drafts.values()
        ):
            await tab.send("ack", frames=len(tab.frames))
            await asyncio.sleep(0.05)
    gate.set()
    async with asyncio.timeout(10):
        while run_id in tab.tab.active:
            await tab.send("ack", frames=len(tab.frames))
            await asyncio.sleep(0.05)
    assert tab.close_code is None
    assert tab.tab.transcript() == await inside.transcript("s-1")
