"""Announcements that nobody heard: a tab has what is recorded long before the next heartbeat all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers

from chat import feed, group, runs, upkeep
from chat.database import query
from chat.models import ChatSession
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import ScriptedModel


class DeafLayer(InMemoryChannelLayer):  # type: ignore[misc]  # Channels ships no types
    """Takes everything; what is `recorded` reaches nobody."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if message["type"] != "recorded":
            await super().group_send(group, message)


class AwayLayer(InMemoryChannelLayer):  # type: ignore[misc]  # Channels ships no types
    """Takes nothing while it is away."""

    is_away = False

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if self.is_away:
            raise ConnectionError
        await super().group_send(group, message)


class LossyLayer(InMemoryChannelLayer):  # type: ignore[misc]  # Channels ships no types
    """Loses the first so many messages of a kind, and counts them."""

    def __init__(self, kind: str, *, loses: int) -> None:
        super().__init__(capacity=10_000)
        self.kind, self.loses = kind, loses
        self.seen = 0

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        self.seen += message["type"] == self.kind
        if message["type"] != self.kind or self.seen > self.loses:
            await super().send(channel, message)


def use(layer: InMemoryChannelLayer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(channel_layers.backends, "default", layer)
    monkeypatch.setattr(group, "_away_until", 0.0)
    # Nothing is to be found by asking because nothing is said for long.
    monkeypatch.setattr(feed, "QUIET_SECONDS", 60)


async def test_text_of_a_run_that_was_not_heard_of(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says after which event it comes: the log is read up to there, and the text goes on from the next piece."""
    use(DeafLayer(capacity=10_000), monkeypatch)
    gate, end = asyncio.Event(), asyncio.Event()
    settings.MODEL = ScriptedModel(["One ", gate, "two ", end])
    user = await inside.user()
    asking, watching = await inside.tab(user), await inside.tab(user)
    run_id = await asking.say("go")
    for text in ("One ", "One two "):
        await watching.until(
            lambda tab, text=text: (  # type: ignore[misc] # a default for a loop's variable
                run_id in tab.runs and [draft.text for draft in tab.runs[run_id].drafts.values()] == [text]
            )
        )
        gate.set()
    end.set()


@pytest.mark.parametrize("lost", ["drafts.wanted", "drafts"])
async def test_drafts_are_asked_for_until_they_come(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """Whoever writes them may be out of reach for a moment; while the model thinks, nothing else would bring the text so far."""
    layer = LossyLayer(lost, loses=2)
    use(layer, monkeypatch)
    monkeypatch.setattr(upkeep, "ROUND_SECONDS", 0.1)
    monkeypatch.setattr(feed, "HUSH_SECONDS", 0.2)
    end = asyncio.Event()
    settings.MODEL = ScriptedModel(["One ", end, "two."])
    user = await inside.user()
    asking = await inside.tab(user)
    run_id = await asking.say("go")
    await asking.until(lambda tab: run_id in tab.runs and bool(tab.runs[run_id].drafts))
    layer.seen = 0
    watching = await inside.tab(user)
    await watching.until(
        lambda tab: run_id in tab.runs and [d.text for d in tab.runs[run_id].drafts.values()] == ["One "]
    )
    # Answered, nobody asks any more.
    await asyncio.sleep(3 * feed.HUSH_SECONDS)
    seen = layer.seen
    assert seen >= 3
    await asyncio.sleep(3 * feed.HUSH_SECONDS)
    assert layer.seen == seen
    end.set()
    await watching.until_ended(run_id)


async def test_a_group_that_could_not_be_told_something_is_told_so_later(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the process that could not, as soon as the layer answers it again: the others lost nothing, and know of nothing."""
    layer = AwayLayer(capacity=10_000)
    use(layer, monkeypatch)
    monkeypatch.setattr(group, "AWAY_SECONDS", 0.0)
    # The socket is in another process, whose layer never failed.
    monkeypatch.setattr(group, "losses", lambda: 0)
    # Nobody finds the run and tells of it.
    settings.SWEEP_SECONDS = 60
    tab = await inside.tab(await inside.user(), resuming=False)
    await tab.until_frame("connected")
    session = await query(ChatSession.objects.get)
    accepted = await query(runs.accept, session.pk, message="go", agent="writer", enable_reasoning=True)
    layer.is_away = True
    assert not await group.tell(group.of_session(session.pk), {"type": "recorded", "seq": 1, "texts": [], "ends": None})
    assert not await group.layer_answers()
    layer.is_away = False
    assert await group.layer_answers()
    assert (await tab.until_frame("message"))["run_id"] == accepted.run_id
    # Once: what was made good is not told of again.
    told: list[str] = []

    async def tell(name: str, message: dict[str, Any]) -> None:
        told.append(name)

    monkeypatch.setattr(layer, "group_send", tell)
    assert await group.layer_answers()
    assert told == ["nobody"]
