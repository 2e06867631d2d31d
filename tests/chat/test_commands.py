"""What a client may ask for, through the real ASGI application: messages, pings, stops; clients of the first table."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from chat.database import query
from chat.models import ChatSession, Event, Run
from chat.protocol import Code
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import Call, ScriptedModel, Think

FRAMES = json.loads((Path(__file__).parents[1] / "frames.json").read_text())


def types(tab: InProcessTab) -> list[str]:
    return [frame["type"] for frame in tab.frames]


# --- clients that know only the first table ---


async def test_a_client_of_the_first_table_needs_nothing_else(inside: InProcessSite, settings: Any) -> None:
    """The frames of the original feature come in its order and shape; whatever else comes has another type."""
    settings.MODEL = ScriptedModel(["Let me see.", Call("calculator", {"expression": "6*7"})], ["42"])
    tab = await inside.tab(await inside.user(), resuming=False)
    connected = await tab.until_frame("connected")
    assert connected["data"]["session_id"] == "s-1"
    assert connected["data"]["agent_name"] == "researcher"
    assert connected["data"]["message"]
    await tab.send(
        "chat", payload={"message": "6*7?", "agent_name": "analyst", "enable_reasoning": True, "extra": [1]}, more="x"
    )
    await tab.until_frame("reasoning_complete")
    known = ("reasoning_start", "reasoning_step", "response", "reasoning_complete", "error")
    frames = [frame for frame in tab.frames if frame["type"] in known]
    assert [(frame["type"], frame["data"].get("type")) for frame in frames] == [
        ("reasoning_start", None),
        ("reasoning_step", "thought"),
        ("reasoning_step", "tool_use"),
        ("reasoning_step", "tool_result"),
        ("reasoning_step", "final_answer"),
        ("reasoning_complete", None),
    ]
    assert frames[0]["data"]["agent"] == "analyst"
    assert frames[0]["data"]["message"] == "6*7?"
    assert frames[0]["data"]["enable_reasoning"] is True
    step = frames[2]["data"]
    assert step["tool_name"] == "calculator"
    assert step["iteration"] == 1
    assert abs(step["timestamp"] - frames[0]["data"]["timestamp"]) < 60


@pytest.mark.parametrize("fields", [{"timestamp": 17.5}, {"payload": {"timestamp": 17.5}}])
async def test_a_ping_is_answered(inside: InProcessSite, fields: dict[str, Any]) -> None:
    """Both places of the timestamp are understood."""
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.send("ping", **fields)
    assert (await tab.until_frame("pong"))["data"] == {"timestamp": 17.5, "head": 0}


async def test_without_reasoning_the_whole_answer_comes_at_once(inside: InProcessSite, settings: Any) -> None:
    """No step and no delta is sent, the answer comes as `response`, and all steps are in the log."""
    settings.MODEL = ScriptedModel([Think("hm"), "So", Call("calculator", {"expression": "1+1"})], ["Two", "."])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("1+1?", enable_reasoning=False)
    await tab.until_ended(run_id)
    assert not {"reasoning_step", "reasoning_delta"} & set(types(tab))
    (response,) = [frame for frame in tab.frames if frame["type"] == "response"]
    assert response["data"]["content"] == "Two."
    kinds = await query(
        lambda: list(Event.objects.exclude(step=None).order_by("seq").values_list("step_type", flat=True))
    )
    assert kinds == ["thought", "thought", "tool_use", "tool_result", "final_answer"]
    quiet = [frame for frame in tab.frames if frame["type"] == "quiet_step"]
    assert "content" not in json.dumps(quiet)


async def test_a_failed_run_is_an_error_too(inside: InProcessSite, settings: Any) -> None:
    """A client of the first table learns of a failed run by `error`, then `reasoning_complete`; the socket stays open."""
    settings.MODEL = ScriptedModel(["Half", RuntimeError("key sk-123")])
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.send("chat", payload={"message": "go"})
    end = await tab.until_frame("reasoning_complete")
    (error,) = [frame for frame in tab.frames if frame["type"] == "error"]
    assert error["data"]["code"] == end["data"]["code"] == "internal"
    assert tab.frames.index(error) == tab.frames.index(end) - 1
    assert "sk-123" not in json.dumps(tab.frames)
    await tab.send("ping")
    await tab.until_frame("pong")


# --- accepting messages ---


async def test_a_message_is_accepted_once(inside: InProcessSite, settings: Any) -> None:
    """The same `client_id`, sent at once from two tabs and again later, is one run, and every sender is told which."""
    settings.MODEL = ScriptedModel(["ok"])
    user = await inside.user()
    one, two = await inside.tab(user), await inside.tab(user)
    ids = await asyncio.gather(
        one.say("once", client_id="c-1"), two.say("once", client_id="c-1"), one.say("once", client_id="c-1")
    )
    await one.until_ended(ids[0])
    later = await two.say("once", client_id="c-1")
    assert {*ids, later} == {ids[0]}
    assert await query(Run.objects.count) == 1
    told = [frame["data"] for frame in two.frames if frame["type"] == "accepted"][-1]
    assert (told["duplicate"], told["state"]) == (True, "completed")


async def test_a_message_during_a_run_waits_and_runs_next(inside: InProcessSite, settings: Any) -> None:
    """Messages run one at a time in their order; the model sees the earlier answers; a waiting one can be taken back."""
    gate = asyncio.Event()
    settings.MODEL = model = ScriptedModel(["one", gate], ["three"])
    tab = await inside.tab(await inside.user())
    first = await tab.say("first")
    await tab.until(lambda tab: bool(tab.runs[first].drafts))
    second = await tab.say("second")
    third = await tab.say("third")
    fourth = await tab.say("fourth")
    assert tab.tab.runs[second].state == "queued"
    await tab.send("remove", run_id=second)
    await tab.until(lambda tab: tab.runs[second].state == "removed")
    await tab.send("remove", run_id=first)
    assert (await tab.until_frame("error"))["data"]["code"] == Code.UNKNOWN_RUN
    gate.set()
    await tab.until_ended(fourth)
    started = [frame["run_id"] for frame in tab.tab.transcript() if frame["type"] == "reasoning_start"]
    assert started == [first, third, fourth]
    assert [message.text for message in model.asked[1][1:]] == ["first", "one", "third"]


async def test_the_queue_has_an_end(inside: InProcessSite, settings: Any) -> None:
    """One message too many is refused with its `client_id` and a sentence."""
    settings.QUEUE_LIMIT = 1
    settings.MODEL = ScriptedModel(["", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    first = await tab.say("first")
    await tab.until(lambda tab: tab.runs[first].state == "running")
    await tab.say("second")
    await tab.send("chat", payload={"message": "third"}, client_id="c-3")
    error = await tab.until_frame("error")
    assert (error["data"]["code"], error["data"]["client_id"]) == (Code.QUEUE_FULL, "c-3")
    assert await query(Run.objects.count) == 2


# --- stopping ---


async def test_stop_keeps_what_was_said(inside: InProcessSite, settings: Any) -> None:
    """Stopped from another tab, the run keeps its text so far as a partial answer, and the stopper hears when it has
    ended.
    """
    settings.MODEL = ScriptedModel([Think("Because "), "Once upon", asyncio.Event()])
    user = await inside.user()
    one, other = await inside.tab(user), await inside.tab(user)
    run_id = await one.say("Tell")
    await one.until(lambda tab: len(tab.runs[run_id].drafts) == 2)
    await other.send("interrupt")
    answer = await other.until_frame("interrupted", timeout=3)
    assert answer["run_id"] == run_id
    end = await other.until_frame("reasoning_complete")
    assert other.frames.index(end) < other.frames.index(answer)
    await one.until_ended(run_id)
    assert one.tab.runs[run_id].state == "stopped"
    steps = [frame["data"] for frame in one.frames if frame["type"] == "reasoning_step"]
    assert [(step["type"], step["content"], step["is_partial"]) for step in steps] == [
        ("thought", "Because ", True),
        ("final_answer", "Once upon", True),
    ]
    assert "interrupted" not in types(one)


async def test_stop_by_the_database_alone(inside: InProcessSite, settings: Any) -> None:
    """A stop that reaches only the database still ends the run: the layer is not needed for it."""
    settings.MODEL = ScriptedModel(["Once", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("Tell")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    from chat import runs

    session = await query(ChatSession.objects.get)
    assert (await query(runs.stop, session.pk)).run_id == run_id
    await tab.until_ended(run_id, timeout=3)
    assert tab.tab.runs[run_id].state == "stopped"


async def test_stop_where_nothing_runs(inside: InProcessSite) -> None:
    """It is answered at once, with no run."""
    tab = await inside.tab(await inside.user())
    await tab.send("interrupt")
    assert (await tab.until_frame("interrupted"))["run_id"] is None


async def test_stop_right_after_asking_ends_that_run(inside: InProcessSite, settings: Any) -> None:
    """Stop never falls between the message and its run's beginning."""
    settings.MODEL = ScriptedModel(["Once", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    for index in range(5):
        await tab.send("chat", payload={"message": "Tell"}, client_id=f"c-{index}")
        seen = len(tab.frames)
        await tab.send("interrupt")
        stopped = await tab.until_frame("interrupted", seen, timeout=5)
        assert stopped["run_id"] is not None
        await tab.until_ended(stopped["run_id"])
    assert await query(lambda: set(Run.objects.values_list("state", flat=True))) == {"stopped"}
