"""What a user marks: a thumb and a comment on an answer, and that the session is private. All tabs show it, nobody else may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chat.database import query
from chat.models import ChatSession, Feedback
from chat.protocol import MAX_COMMENT, Close, Code
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import ScriptedModel


async def answered(inside: InProcessSite, settings: Any, *, session_id: str = "s-1") -> tuple[InProcessTab, str]:
    """A tab with an answer, and the id of its run."""
    settings.MODEL = ScriptedModel(["An answer."])
    tab = await inside.tab(await inside.user(), session_id)
    run_id = await tab.say("Ask")
    await tab.until_ended(run_id)
    return tab, run_id


async def marks_of(tab: InProcessTab) -> dict[str, Any]:
    """All that is marked, asked for."""
    seen = len(tab.frames)
    await tab.send("read_marks")
    frame = await tab.until_frame(lambda frame: frame["type"] == "marks" and frame["data"]["is_all"], seen)
    data: dict[str, Any] = frame["data"]
    return data


async def sent(tab: InProcessTab, kind: str, **fields: Any) -> None:
    """Send and wait until it is recorded."""
    seen = len(tab.frames)
    await tab.send(kind, **fields, client_id="c-1")
    frame = await tab.until_frame(lambda frame: frame["data"].get("client_id") == "c-1", seen)
    assert frame["type"] == "marked", frame


async def test_a_thumb_and_a_comment_are_recorded_shown_in_all_tabs_changed_and_removed(
    inside: InProcessSite, settings: Any
) -> None:
    tab, run_id = await answered(inside, settings)
    other = await inside.tab(await query(lambda: ChatSession.objects.get().owner))
    await other.until_frame("resumed")
    for thumb, comment in (("up", ""), ("down", "Not this\n<b>one</b>"), (None, "")):
        seen = len(other.frames)
        await sent(tab, "feedback", run_id=run_id, thumb=thumb, comment=comment)
        frame = await other.until_frame("marks", seen)
        assert frame["data"]["feedback"] == [{"run_id": run_id, "thumb": thumb, "comment": comment}]
        assert "seq" not in frame
        kept = [] if thumb is None else frame["data"]["feedback"]
        assert (await marks_of(other))["feedback"] == kept
    assert not await query(Feedback.objects.exists)


async def test_the_same_feedback_twice_is_one_and_the_last_word_holds(inside: InProcessSite, settings: Any) -> None:
    tab, run_id = await answered(inside, settings)
    for thumb in ("up", "up", "down"):
        await sent(tab, "feedback", run_id=run_id, thumb=thumb, comment="so")
    row = await query(Feedback.objects.get)
    assert (row.thumb, row.comment) == (Feedback.DOWN, "so")
    assert row.created_at < row.updated_at


async def test_a_session_is_marked_private_and_back_in_all_tabs(inside: InProcessSite, settings: Any) -> None:
    tab, _ = await answered(inside, settings)
    other = await inside.tab(await query(lambda: ChatSession.objects.get().owner))
    await other.until_frame("resumed")
    for is_private in (True, False):
        seen = len(other.frames)
        await sent(tab, "private", is_private=is_private)
        assert (await other.until_frame("marks", seen))["data"]["is_private"] is is_private
        assert (await query(ChatSession.objects.get)).is_private is is_private


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"thumb": "up", "comment": "x" * (MAX_COMMENT + 1)}, Code.BAD_FIELD),
        ({"thumb": "sideways"}, Code.BAD_FIELD),
        ({"thumb": "up", "run_id": "00000000-0000-4000-8000-000000000000"}, Code.UNKNOWN_RUN),
        ({"thumb": "up", "run_id": "nonsense"}, Code.UNKNOWN_RUN),
    ],
)
async def test_what_is_not_valid_is_refused_with_a_reason(
    inside: InProcessSite, settings: Any, fields: dict[str, Any], code: Code
) -> None:
    tab, run_id = await answered(inside, settings)
    seen = len(tab.frames)
    await tab.send("feedback", **{"run_id": run_id, **fields})
    assert (await tab.until_frame("error", seen))["data"]["code"] == code
    assert not await query(Feedback.objects.exists)


async def test_there_is_nothing_to_say_of_a_run_without_an_answer(inside: InProcessSite, settings: Any) -> None:
    """One that is under way, and one that was stopped before it said anything."""
    settings.MODEL = ScriptedModel([asyncio.Event()])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("Ask")
    await tab.until(lambda tab: tab.runs[run_id].state == "running")
    for is_over in (False, True):
        if is_over:
            await tab.send("interrupt")
            await tab.until_ended(run_id)
        seen = len(tab.frames)
        await tab.send("feedback", run_id=run_id, thumb="up")
        assert (await tab.until_frame("error", seen))["data"]["code"] == Code.NO_ANSWER


async def test_somebody_else_s_answer_and_session_cannot_be_marked(inside: InProcessSite, settings: Any) -> None:
    """The session is answered as one that does not exist; from a session of one's own, the run is."""
    _, run_id = await answered(inside, settings)
    mallory = await inside.user("mallory")
    shut_out = await inside.tab(mallory, "s-1")
    assert await shut_out.until_closed() == Close.NOT_FOUND
    own = await inside.tab(mallory, "own")
    await own.until_frame("connected")
    seen = len(own.frames)
    await own.send("feedback", run_id=run_id, thumb="down")
    assert (await own.until_frame("error", seen))["data"]["code"] == Code.UNKNOWN_RUN
    assert not await query(Feedback.objects.exists)
    assert not (await query(lambda: ChatSession.objects.get(public_id="s-1"))).is_private


async def test_many_thumbs_are_told_in_several_frames(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.marks.PAGE", 1)
    tab, run_id = await answered(inside, settings)
    settings.MODEL = ScriptedModel(["Another."])
    second = await tab.say("Again")
    await tab.until_ended(second)
    for each in (run_id, second):
        await sent(tab, "feedback", run_id=each, thumb="up")
    # What was told of each is on its way to this tab, too; a ping is answered after it.
    await tab.until_current()
    seen = len(tab.frames)
    await tab.send("read_marks")
    await tab.until_current()
    told = [frame["data"] for frame in tab.frames[seen:] if frame["type"] == "marks"]
    assert [(one["is_all"], [each["run_id"] for each in one["feedback"]]) for one in told] == [
        (True, [run_id]),
        (False, [second]),
    ]
