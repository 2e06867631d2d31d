"""The socket of the staff: it sees what the user's page sees, takes no part, and ends with the right to read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User

from chat import deletion, group, readings
from chat.database import query
from chat.models import ChatSession, OpenSocket, Reading, Run
from chat.protocol import Close, Code
from tests.chat.test_faults import holding
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import Call, ScriptedModel


async def reader(inside: InProcessSite, *permissions: str, name: str = "eve", is_staff: bool = True) -> User:
    """Somebody with these permissions."""
    user = await inside.user(name, is_staff=is_staff)

    def give() -> None:
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))

    await query(give)
    return user


async def watcher(
    inside: InProcessSite, user: User | None, session_id: str = "s-1", *, resuming: bool = True
) -> InProcessTab:
    pk = await query(lambda: ChatSession.objects.values_list("pk", flat=True).get(public_id=session_id))
    return await inside.tab(user, str(pk), place="ws/admin/chat", resuming=resuming)


async def test_who_watches_sees_what_the_user_sees(inside: InProcessSite, settings: Any) -> None:
    """Deltas, steps and the end of a run under way; what was recorded before; and the reading is recorded, once."""
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["so far", gate, " and on", Call("calculator", {"expression": "1+1"})], ["two"])
    user = await inside.user()
    tab = await inside.tab(user)
    await holding(tab)
    staff = await reader(inside, "view_chatsession")
    watching = await watcher(inside, staff)
    draft = await watching.until_frame("reasoning_delta")
    assert draft["data"]["content"] == "so far"
    gate.set()
    await watching.until_ended()
    await tab.until_ended()
    await tab.until_current()
    await watching.until_current()
    assert watching.tab.transcript() == tab.tab.transcript() == await inside.transcript("s-1")
    await watcher(inside, staff)
    read = await query(lambda: list(Reading.objects.values_list("reader", "owner", "session__public_id", "how")))
    assert read == [(staff.pk, user.pk, "s-1", "read")]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("chat", {"payload": {"message": "hi"}}),
        ("interrupt", {}),
        ("remove", {"run_id": "00000000-0000-0000-0000-000000000000"}),
        ("private", {"is_private": True}),
        ("feedback", {"run_id": "00000000-0000-0000-0000-000000000000", "thumb": "up"}),
    ],
)
async def test_who_watches_takes_no_part(
    kind: str, fields: dict[str, Any], inside: InProcessSite, settings: Any
) -> None:
    """Nothing is asked, stopped or taken back; also by somebody who may do everything. The socket stays open."""
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["so far", gate])
    tab = await inside.tab(await inside.user())
    await holding(tab)
    watching = await watcher(inside, await inside.user("root", is_staff=True, is_superuser=True))
    await watching.until_frame("connected")
    await watching.send(kind, **fields)
    assert (await watching.until_frame("error"))["data"]["code"] == Code.UNKNOWN_TYPE
    await watching.until_current()
    runs = await query(lambda: list(Run.objects.values_list("state", "stop_asked_at")))
    assert runs == [("running", None)]
    assert not await query(ChatSession.objects.filter(is_private=True).exists)
    gate.set()
    await tab.until_ended()


async def test_who_may_not_read_is_sent_away(inside: InProcessSite, settings: Any) -> None:
    """Without a login, without the permission, without being of the staff, from a private session, from one that is not there."""
    settings.MODEL = ScriptedModel(["ok"])
    owner = await inside.user()
    for session_id in ("s-1", "private"):
        tab = await inside.tab(owner, session_id)
        await tab.until_ended(await tab.say("hi"))
    await query(lambda: ChatSession.objects.filter(public_id="private").update(is_private=True))
    viewer = await reader(inside, "view_chatsession")
    cases = [
        (None, "s-1", Close.SIGNED_OUT),
        (await reader(inside, name="staff"), "s-1", Close.NOT_FOUND),
        (await reader(inside, "view_chatsession", name="guest", is_staff=False), "s-1", Close.NOT_FOUND),
        (owner, "s-1", Close.NOT_FOUND),
        (viewer, "private", Close.NOT_FOUND),
    ]
    for user, session_id, code in cases:
        watching = await watcher(inside, user, session_id)
        assert await watching.until_closed() == code, (user, session_id)
        assert watching.frames == []
    for missing in ("999999", "9" * 18):
        nowhere = await inside.tab(viewer, missing, place="ws/admin/chat")
        assert await nowhere.until_closed() == Close.NOT_FOUND
    assert not await query(Reading.objects.exists)
    auditor = await reader(inside, "view_chatsession", "read_private", name="auditor")
    allowed = await watcher(inside, auditor, "private")
    await allowed.until_frame("message")


async def test_the_right_to_read_ends(inside: InProcessSite, settings: Any) -> None:
    """With the next question to the server at the latest: the session became private, or the permission was taken away."""
    settings.MODEL = ScriptedModel(["ok"])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("hi"))
    staff = await reader(inside, "view_chatsession")
    first = await watcher(inside, staff)
    await first.until_current()
    await query(lambda: ChatSession.objects.update(is_private=True))
    await first.send("ping", timestamp=1)
    assert await first.until_closed() == Close.NOT_FOUND
    await query(lambda: ChatSession.objects.update(is_private=False))
    second = await watcher(inside, staff)
    await second.until_current()
    await query(staff.user_permissions.clear)
    await second.send("resume", after=0)
    assert await second.until_closed() == Close.NOT_FOUND


@pytest.mark.parametrize("way", ["their permission", "their group", "the group's permission", "out of the group"])
async def test_a_right_that_is_taken_away_closes_at_once(inside: InProcessSite, settings: Any, way: str) -> None:
    """Whichever way it came, and to those alone who have lost it."""
    settings.MODEL = ScriptedModel(["ok"])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("hi"))
    staff, stays = await reader(inside), await reader(inside, "view_chatsession", name="adam")
    readers = await query(Group.objects.create, name="readers")

    def change(give: bool) -> None:
        permission = Permission.objects.get(codename="view_chatsession")
        if way == "their permission":
            staff.user_permissions.set([permission] if give else [])
        elif give:
            readers.permissions.add(permission)
            staff.groups.add(readers)
        elif way == "their group":
            staff.groups.clear()
        elif way == "the group's permission":
            readers.permissions.remove(permission)
        else:
            readers.user_set.remove(staff)

    await query(change, True)
    watching, other = await watcher(inside, staff), await watcher(inside, stays)
    for one in (watching, other):
        await one.until_current()
    # What they look at by themselves when they are new is over.
    await asyncio.sleep(1.5)
    await query(change, False)
    assert await watching.until_closed(timeout=8) == Close.NOT_FOUND
    assert other.close_code is None


async def test_a_session_that_its_user_marks_private_is_closed_to_viewers_at_once(
    inside: InProcessSite, settings: Any
) -> None:
    """Those who may read private ones stay, and hear of it; a thumb closes nothing."""
    settings.MODEL = ScriptedModel(["ok"])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("hi")
    await tab.until_ended(run_id)
    viewer = await watcher(inside, await reader(inside, "view_chatsession"))
    auditor = await watcher(inside, await reader(inside, "view_chatsession", "read_private", name="auditor"))
    for watching in (viewer, auditor):
        await watching.until_current()
    await tab.send("feedback", run_id=run_id, thumb="down", comment="no", client_id="f1")
    for watching in (viewer, auditor):
        assert (await watching.until_frame("marks"))["data"]["feedback"][0]["comment"] == "no"
    seen = len(auditor.frames)
    await tab.send("private", is_private=True, client_id="p1")
    assert await viewer.until_closed() == Close.NOT_FOUND
    assert (await auditor.until_frame("marks", seen))["data"]["is_private"] is True
    assert not any(frame["type"] == "marks" and frame["data"]["is_private"] for frame in viewer.frames)


async def test_the_right_to_read_is_looked_up_with_every_heartbeat(inside: InProcessSite, settings: Any) -> None:
    """Also of somebody whose page says nothing."""
    settings.MODEL = ScriptedModel(["ok"])
    settings.HEARTBEAT_SECONDS = 0.2
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("hi"))
    watching = await watcher(inside, await reader(inside, "view_chatsession"))
    await watching.until_frame("connected")
    await query(lambda: ChatSession.objects.update(is_private=True))
    assert await watching.until_closed() == Close.NOT_FOUND


async def test_a_change_of_the_account_is_looked_at_at_once(inside: InProcessSite, settings: Any) -> None:
    settings.MODEL = ScriptedModel(["ok"])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("hi"))
    staff = await reader(inside, "view_chatsession")
    watching = await watcher(inside, staff)
    await watching.until_current()

    def demote() -> None:
        staff.is_staff = False
        staff.save()

    await asyncio.to_thread(demote)
    assert await watching.until_closed() == Close.NOT_FOUND


async def test_watchers_count_as_nobodys_sockets(inside: InProcessSite, settings: Any) -> None:
    """Neither as the user's nor as the reader's, who may have all of theirs open, and watch as many; not one more."""
    settings.MODEL = ScriptedModel(["ok"])
    settings.SOCKETS_PER_USER = 1
    owner = await inside.user()
    tab = await inside.tab(owner)
    await tab.until_ended(await tab.say("hi"))
    staff = await reader(inside, "view_chatsession")
    own = await inside.tab(staff, "own")
    await own.until_frame("connected")
    watching = await watcher(inside, staff)
    await watching.until_frame("connected")
    assert await (await watcher(inside, staff)).until_closed() == Close.TOO_MANY
    await (await watcher(inside, await reader(inside, "view_chatsession", name="adam"))).until_frame("connected")
    await watching.close()
    await (await watcher(inside, staff)).until_frame("connected")
    assert await query(lambda: sorted(OpenSocket.objects.values_list("user_id", flat=True))) == sorted(
        [owner.pk, staff.pk]
    )


async def test_a_mark_that_comes_while_somebody_comes_in_closes_them(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at their rights and the joining of the group they hear of nothing: they are looked at once more after it."""
    settings.MODEL = ScriptedModel(["ok"])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("hi"))
    record = readings.record_once

    def marked_meanwhile(*arguments: Any) -> None:
        record(*arguments)
        ChatSession.objects.update(is_private=True)

    monkeypatch.setattr(readings, "record_once", marked_meanwhile)
    # With a command that it sends it would be looked at as well.
    watching = await watcher(inside, await reader(inside, "view_chatsession"), resuming=False)
    assert await watching.until_closed(timeout=8) == Close.NOT_FOUND


async def test_where_something_was_missed_it_may_have_been_a_mark(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the group lost is found in the log, and whether the session is still to be read, before more of it is sent."""
    settings.MODEL = ScriptedModel(["ok"])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("hi"))
    watching = await watcher(inside, await reader(inside, "view_chatsession"), resuming=False)
    await watching.until_frame("connected")
    await asyncio.sleep(0.5)
    await query(lambda: ChatSession.objects.update(is_private=True))
    monkeypatch.setattr(group, "_losses", group._losses + 1)
    # Long before its next heartbeat.
    assert await watching.until_closed(timeout=8) == Close.NOT_FOUND


async def test_a_session_that_goes_unused_is_gone_for_who_watches_it(inside: InProcessSite) -> None:
    """Its user's tab comes back and makes it anew; a watcher's would look for it again and again."""
    user = await inside.user()
    tab = await inside.tab(user)
    await tab.until_frame("resumed")
    watching = await watcher(inside, await reader(inside, "view_chatsession"))
    await watching.until_frame("resumed")
    pk = await query(ChatSession.objects.values_list("pk", flat=True).get)
    assert await query(deletion.delete_session, pk)
    await deletion.tell_gone([pk])
    assert await watching.until_closed() == Close.NOT_FOUND
    assert await tab.until_closed() == Close.TRY_AGAIN
