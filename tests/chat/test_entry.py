"""Who may open a socket, and for how long."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from chat.database import query
from chat.models import ChatSession, Run
from chat.protocol import Close, Code
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import ScriptedModel

FRAMES = json.loads((Path(__file__).parents[1] / "frames.json").read_text())


def types(tab: InProcessTab) -> list[str]:
    return [frame["type"] for frame in tab.frames]


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
    await other.until_frame("resumed")
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
    """Other browsers are signed out; the one that changed the password comes back with its new cookie."""
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
    # Both are told to come back, and with the old cookie only one thing awaits there.
    assert await there.until_closed(timeout=5) == Close.TRY_AGAIN
    assert await mine.until_closed(timeout=5) == Close.TRY_AGAIN
    assert await (await inside.tab(user)).until_closed() == Close.SIGNED_OUT
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
        ("http://evil@127.0.0.1", False),
        ("http://127.0.0.1/path", False),
        ("http://127.0.0.1:99999", False),
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
    await tab.until_ended(await tab.say("hi", agent_name="analyst"))
    await tab.until_ended(await tab.say("again"))
    assert (await query(lambda: Run.objects.order_by("-seq")[0])).agent == "analyst"
    # Whom the last message went to is whom the next one goes to, also after a reload.
    tab = await inside.tab(user)
    assert (await tab.until_frame("connected"))["data"]["agent_name"] == "analyst"
