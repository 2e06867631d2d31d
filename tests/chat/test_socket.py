"""The socket, through the real ASGI application: what each command does, who is let in, what is refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.database import query
from chat.models import ChatSession, Event, Run, new_epoch
from chat.protocol import Close, Code
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
    assert two.frames[-1]["data"]["duplicate"] is True
    assert two.frames[-1]["data"]["state"] == "completed"


async def test_a_message_during_a_run_waits_and_runs_next(inside: InProcessSite, settings: Any) -> None:
    """Messages run one at a time in their order; the model sees the earlier answers; a waiting one can be taken back."""
    gate = asyncio.Event()
    settings.MODEL = model = ScriptedModel(["one", gate], ["three"])
    tab = await inside.tab(await inside.user())
    first = await tab.say("first")
    await tab.until(lambda tab: bool(tab.runs[first].drafts))
    second = await tab.say("second")
    third = await tab.say("third")
    assert tab.tab.runs[second].state == "queued"
    await tab.send("remove", run_id=second)
    await tab.until(lambda tab: tab.runs[second].state == "removed")
    await tab.send("remove", run_id=first)
    assert (await tab.until_frame("error"))["data"]["code"] == Code.UNKNOWN_RUN
    gate.set()
    await tab.until_ended(third)
    assert [frame["run_id"] for frame in tab.frames if frame["type"] == "reasoning_start"] == [first, third]
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


# --- who is let in ---


async def test_nobody_enters_without_signing_in(inside: InProcessSite) -> None:
    """An anonymous visitor is told why with a code that means: do not come back."""
    tab = await inside.tab(None)
    assert await tab.until_closed() == Close.SIGNED_OUT
    assert tab.frames == []
    assert await query(ChatSession.objects.count) == 0


async def test_a_session_is_its_users_alone(inside: InProcessSite, settings: Any) -> None:
    """An id chosen by a client is made for its user, and from then on does not exist for others, staff included."""
    settings.MODEL = ScriptedModel(["secret"])
    owner = await inside.tab(await inside.user(), "my-own_ID")
    await owner.say("hello")
    await owner.until_ended()
    for stranger in (await inside.user("eve"), await inside.user("root", is_staff=True, is_superuser=True)):
        tab = await inside.tab(stranger, "my-own_ID")
        assert await tab.until_closed() == Close.NOT_FOUND
        assert tab.frames == []
    assert (await query(ChatSession.objects.get)).public_id == "my-own_ID"


@pytest.mark.parametrize("session_id", ["a" * 65, "a.b", "a/b", "ä"])
async def test_an_id_that_is_none_leads_nowhere(inside: InProcessSite, session_id: str) -> None:
    """The socket closes with a code; nothing is left half open."""
    tab = await inside.tab(await inside.user(), session_id.encode().decode("latin-1"))
    assert await tab.until_closed() == Close.NOT_FOUND


async def test_signing_out_closes_that_logins_sockets(inside: InProcessSite) -> None:
    """The sockets of the login that ends close at once; those of the user's other browsers stay."""
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_frame("connected")
    other_browser = Client()

    def sign_in_elsewhere() -> str:
        other_browser.force_login(user)
        return f"sessionid={other_browser.cookies['sessionid'].value}"

    other = InProcessTab(inside.application, await query(sign_in_elsewhere), "s-1")
    await other.open()
    await other.until_frame("connected")
    await asyncio.to_thread(lambda: other_browser.post("/accounts/logout/"))
    assert await other.until_closed(timeout=3) == Close.SIGNED_OUT
    await tab.send("ping")
    await tab.until_frame("pong")


async def test_a_deactivated_users_sockets_close(inside: InProcessSite) -> None:
    """Saving the user is enough; nothing has to be sent."""
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_frame("connected")
    user.is_active = False
    await asyncio.to_thread(user.save)
    assert await tab.until_closed(timeout=5) == Close.SIGNED_OUT


async def test_a_login_that_ended_unseen_is_found_by_the_next_command(inside: InProcessSite, settings: Any) -> None:
    """Deactivated past all signals, the user's next command is not obeyed."""
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_frame("connected")
    await query(lambda: User.objects.update(is_active=False))
    await tab.send("chat", payload={"message": "still here?"})
    assert await tab.until_closed(timeout=5) == Close.SIGNED_OUT
    assert await query(Run.objects.count) == 0


async def test_a_login_that_ended_unseen_is_found_by_the_clock(inside: InProcessSite, settings: Any) -> None:
    """… and where there is no next command, within a heartbeat."""
    settings.HEARTBEAT_SECONDS = 0.2
    tab = await inside.tab(await inside.user())
    await tab.until_frame("connected")
    await query(lambda: User.objects.update(is_active=False))
    assert await tab.until_closed(timeout=5) == Close.SIGNED_OUT


async def test_a_new_password_closes_other_logins_only(inside: InProcessSite) -> None:
    """The browser that changed the password stays connected."""
    user = await inside.user()
    here = Client()
    there = await inside.tab(user)
    await query(lambda: here.force_login(user))
    mine = InProcessTab(inside.application, f"sessionid={here.cookies['sessionid'].value}", "s-1")
    await mine.open()
    await mine.until_frame("connected")
    form = {"old_password": "pw-for-tests", "new_password1": "A-new-one-77", "new_password2": "A-new-one-77"}
    response = await asyncio.to_thread(lambda: here.post("/accounts/password_change/", form))
    assert response.status_code == 302
    assert await there.until_closed(timeout=5) == Close.SIGNED_OUT
    # Changing the password renews the login's key: the open socket's old key is void, so the page comes back with the
    # new.
    reopened = InProcessTab(inside.application, f"sessionid={here.cookies['sessionid'].value}", "s-1")
    await reopened.open()
    await reopened.until_frame("connected")
    await reopened.close()


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("http://127.0.0.1", True),
        ("http://127.0.0.1:80", True),
        ("https://friend.example", True),
        ("https://127.0.0.1", False),
        ("http://127.0.0.1:8080", False),
        ("http://evil.example", False),
        ("http://friend.example", False),
        ("null", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://[", False),
    ],
)
async def test_origins_are_checked_in_full(inside: InProcessSite, settings: Any, origin: str, may: bool) -> None:
    """Scheme, name and port must be those of the site, or of an origin in the settings."""
    settings.ALLOWED_ORIGINS = ["https://friend.example"]
    tab = InProcessTab(inside.application, await inside.cookie(await inside.user()), "s-1")
    tab._socket.scope["headers"] = [
        (name, origin.encode() if name == b"origin" else value) for name, value in tab._socket.scope["headers"]
    ]
    await tab.open()
    if may:
        await tab.until_frame("connected")
        await tab.close()
    else:
        assert await tab.until_closed() == Close.NOT_FOUND


async def test_the_address_chooses_the_agent(inside: InProcessSite, settings: Any) -> None:
    """`?agent_name=` sets the session's agent; one that does not exist is refused and the socket stays up."""
    settings.MODEL = ScriptedModel(["ok"])
    user = await inside.user()
    tab = await inside.tab(user, query="agent_name=writer")
    assert (await tab.until_frame("connected"))["data"]["agent_name"] == "writer"
    tab = await inside.tab(user, query="agent_name=nobody")
    assert (await tab.until_frame("error"))["data"]["code"] == Code.UNKNOWN_AGENT
    assert (await tab.until_frame("connected"))["data"]["agent_name"] == "writer"
    await tab.send("chat", payload={"message": "hi", "agent_name": "nobody"})
    await tab.until_frame(lambda frame: frame["type"] == "error", 2)
    run_id = await tab.say("hi")
    await tab.until_ended(run_id)
    assert (await query(Run.objects.get)).agent == "writer"


# --- frames that are not valid ---

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


# --- resuming ---


async def test_a_long_log_comes_in_pages(inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is bounded, the client asks for the next, and what is recorded meanwhile is neither lost nor doubled."""
    from chat import consumers

    monkeypatch.setattr(consumers, "PAGE_BYTES", 2000)
    monkeypatch.setattr(consumers, "PAGE_EVENTS", 5)
    settings.MODEL = ScriptedModel(
        [Call("calculator", {"expression": "1+1"}), Call("calculator", {"expression": "2+2"})], ["ok"]
    )
    user = await inside.user()
    tab = await inside.tab(user)
    for index in range(4):
        await tab.until_ended(await tab.say(f"question {index}"))
    late = await inside.tab(user)
    run_id = await tab.say("one more")
    await late.until_ended(run_id)
    await late.until_current()
    assert late.tab.transcript() == await inside.transcript("s-1")
    pages = [frame["data"] for frame in late.frames if frame["type"] == "resumed"]
    assert len(pages) > 5
    assert [page["more"] for page in pages] == [True] * (len(pages) - 1) + [False]
    seqs = [frame["seq"] for frame in late.frames if "seq" in frame]
    assert sorted(set(seqs)) == list(range(1, len(set(seqs)) + 1))


@pytest.mark.parametrize("known", [{"after": 2, "epoch": "another"}, {"after": 999}])
async def test_a_client_from_another_history_is_reset(
    inside: InProcessSite, settings: Any, known: dict[str, Any]
) -> None:
    """Where the client's epoch is another, or it claims more than there is, it is told to forget and gets everything."""
    settings.MODEL = ScriptedModel(["ok"])
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_ended(await tab.say("hi"))
    stale = await inside.tab(user, resuming=False)
    await stale.send("resume", **known)
    await stale.until_frame("resumed")
    assert types(stale)[1] == "reset"
    assert [frame for frame in stale.frames if "seq" in frame] == await inside.transcript("s-1")


async def test_a_new_epoch_reaches_a_tab_that_comes_back(inside: InProcessSite, settings: Any) -> None:
    """History that was rewritten replaces what the tab has."""
    settings.MODEL = ScriptedModel(["ok"])
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_ended(await tab.say("hi"))
    await query(lambda: ChatSession.objects.update(epoch=new_epoch()))
    again = await inside.tab(user, resuming=False)
    again.tab = tab.tab
    connected = await again.until_frame("connected")
    (resume,) = again.tab.apply(connected)
    await again.send(resume.pop("type"), **resume)
    await again.until_frame("resumed")
    for frame in again.frames[1:]:
        again.tab.apply(frame)
    assert types(again)[1] == "reset"
    assert again.tab.transcript() == await inside.transcript("s-1")
