"""What is counted while people ask and agents answer; and that neither a hostile model nor a hung database spoils it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.db import OperationalError
from prometheus_client import Counter, Gauge, Histogram, generate_latest

from agents.steps import Step, StepType
from chat import driver, events, group, metrics
from chat.database import query
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import Call, ScriptedModel, Think


class Counted:
    """How much each series has grown since this was made."""

    def __init__(self) -> None:
        self._before = self._now()

    def __call__(self, name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return self._now().get(key, 0.0) - self._before.get(key, 0.0)

    def _now(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        # Ours without the one that asks the database.
        ours = [one for one in vars(metrics).values() if isinstance(one, Counter | Gauge | Histogram)]
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for metric in ours
            for family in metric.collect()
            for sample in family.samples
        }


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nobody is told of a metric
            await asyncio.sleep(0.01)


async def test_an_answer_is_counted_once_from_message_to_end(inside: InProcessSite, settings: Any) -> None:
    """Steps by type, tools, models, the end, and the times that are promised."""
    counted = Counted()
    settings.MODEL = ScriptedModel([Think("Hm."), "Look: ", Call("calculator", {"expression": "6*7"})], ["42"])
    tab = await inside.tab(await inside.user())
    await tab.until_frame("connected")
    assert counted("glassbox_sockets_open") == 1
    await tab.until_ended(await tab.say("go"))
    for kind, number in (("thought", 2), ("tool_use", 1), ("tool_result", 1), ("final_answer", 1), ("error", 0)):
        assert counted("glassbox_steps_recorded_total", type=kind) == number
    assert counted("glassbox_runs_ended_total", outcome="completed", code="") == 1
    assert counted("glassbox_tool_calls_total", tool="calculator") == 1
    assert counted("glassbox_tool_failures_total", tool="calculator") == 0
    assert counted("glassbox_model_calls_total", model="ScriptedModel") == 2
    assert counted("glassbox_pick_up_seconds_count") == 1
    assert counted("glassbox_time_to_first_token_seconds_count") == 1
    deltas = [frame for frame in tab.frames if frame["type"] == "reasoning_delta"]
    assert counted("glassbox_delta_latency_seconds_count") == len(deltas) > 0
    await tab.close()
    await until(lambda: counted("glassbox_sockets_open") == 0)


async def test_a_failure_is_counted_with_its_code(inside: InProcessSite, settings: Any) -> None:
    counted = Counted()
    settings.MODEL = ScriptedModel([RuntimeError("broken")])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("go"))
    assert counted("glassbox_runs_ended_total", outcome="failed", code="internal") == 1
    assert counted("glassbox_steps_recorded_total", type="error") == 1


async def test_waiting_behind_another_run_is_not_slowness(inside: InProcessSite, settings: Any) -> None:
    """A second message is picked up when the run before it has ended: its time is counted from there."""
    counted = Counted()
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["a", gate], ["b"])
    tab = await inside.tab(await inside.user())
    first, second = await tab.say("one"), await tab.say("two")
    await asyncio.sleep(1)
    gate.set()
    await tab.until_ended(first)
    await tab.until_ended(second)
    assert counted("glassbox_pick_up_seconds_count") == 2
    assert counted("glassbox_pick_up_seconds_sum") < 1


async def test_going_on_elsewhere_is_counted(inside: InProcessSite, settings: Any) -> None:
    """A run that lost its process is taken over, one that its process left is handed over; neither is picked up twice."""
    counted = Counted()
    settings.MODEL = ScriptedModel(["half", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    assert counted("glassbox_runs_driven") == 1
    await inside.restart_driver()
    assert counted("glassbox_runs_driven") == 0
    driver.current()
    await tab.until(lambda tab: tab.runs[run_id].attempt == 2)
    assert counted("glassbox_runs_taken_over_total") == 1
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    await driver.current().drain(0)
    assert counted("glassbox_runs_handed_over_total") == 1
    await inside.restart_driver()
    settings.MODEL = ScriptedModel(["whole"])
    driver.current()
    await tab.until_ended(run_id)
    assert counted("glassbox_runs_taken_over_total") == 1
    assert counted("glassbox_pick_up_seconds_count") == 1
    assert counted("glassbox_time_to_first_token_seconds_count") == 1


async def test_a_write_that_is_tried_again_is_counted(
    inside: InProcessSite, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted()
    record, faults = events.record_steps, iter([OperationalError(), OperationalError()])

    def record_steps(*arguments: Any, **named: Any) -> Any:
        for fault in faults:
            raise fault
        return record(*arguments, **named)

    monkeypatch.setattr(events, "record_steps", record_steps)
    settings.MODEL = ScriptedModel(["a"])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("go"))
    assert counted("glassbox_writes_retried_total") == 2
    assert counted("glassbox_steps_recorded_total", type="final_answer") == 1


async def test_what_a_model_makes_up_is_no_label(inside: InProcessSite, settings: Any) -> None:
    """Thousands of invented names of tools are one series."""
    counted = Counted()
    invented = [f'evil{number}"}} 1\n' for number in range(20)]
    settings.MODEL = ScriptedModel([Call(name, {}) for name in invented], ["done"])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("go"))
    assert counted("glassbox_tool_calls_total", tool="other") == 20
    assert counted("glassbox_tool_failures_total", tool="other") == 20
    assert b"evil" not in generate_latest()


def test_labels_from_elsewhere_are_bounded(settings: Any) -> None:
    """A model that is not the one in the settings and a code that is none of ours count as `other`."""
    counted = Counted()
    settings.MODEL = "openai:a"
    for model in ("openai:a", "openai:b", "c" * 1000):
        metrics.step_recorded(
            Step(number=1, type=StepType.FINAL_ANSWER, content="", iteration=1, duration=1), model=model
        )
    assert counted("glassbox_model_calls_total", model="openai:a") == 1
    assert counted("glassbox_model_calls_total", model="other") == 2
    metrics.run_ended("failed", "whatever")
    assert counted("glassbox_runs_ended_total", outcome="failed", code="other") == 1


def test_clocks_that_disagree_give_no_negative_time() -> None:
    counted = Counted()
    metrics.delta_sent(time.time() + 3600)
    assert counted("glassbox_delta_latency_seconds_count") == 1
    assert counted("glassbox_delta_latency_seconds_sum") == 0


class ForgetfulLayer(InMemoryChannelLayer):  # type: ignore[misc] # channels has no types
    """Loses the announcements of these events, without a word."""

    lost: set[int] = set()

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if message.get("seq") not in self.lost:
            await super().group_send(group, message)


async def test_a_gap_that_is_healed_is_counted_and_a_heartbeat_with_nothing_new_is_not(
    inside: InProcessSite, settings: Any
) -> None:
    """The log is read because an announcement did not come: by the next one, or by the heartbeat that asks."""
    # What a message brings is read for its sender without having been missed: what is lost comes later.
    gates = [asyncio.Event(), asyncio.Event()]
    settings.MODEL = ScriptedModel(["a"], ["a", gates[0], "b"], ["a", gates[1], "b"])
    layer = ForgetfulLayer()
    channel_layers.backends["default"] = layer
    tab = await inside.tab(await inside.user())
    await tab.until_current()
    counted = Counted()
    await tab.until_current()

    async def answering(message: str) -> str:
        run_id = await tab.say(message)
        await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
        return run_id

    await tab.until_ended(await tab.say("nothing lost"))
    await tab.until_current()
    assert counted("glassbox_gaps_healed_total") == 0
    run_id = await answering("the answer is lost, the next announcement shows it")
    layer.lost = {tab.tab.seq + 1}
    gates[0].set()
    await tab.until_ended(run_id)
    assert counted("glassbox_gaps_healed_total") == 1
    run_id = await answering("the end is lost, and only a heartbeat can find it")
    layer.lost = {tab.tab.seq + 2}
    gates[1].set()
    async with asyncio.timeout(5):
        while await query(events.end_of, run_id) is None:  # noqa: ASYNC110 - that it is told to nobody is the point
            await asyncio.sleep(0.01)
    await tab.until_current()
    await tab.until_ended(run_id)
    assert counted("glassbox_gaps_healed_total") == 2


class BrokenLayer(InMemoryChannelLayer):  # type: ignore[misc] # channels has no types
    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        raise ConnectionError


async def test_a_dropped_announcement_is_counted_and_a_failed_probe_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are not even tried, for a moment after a failure."""
    monkeypatch.setitem(channel_layers.backends, "default", BrokenLayer())
    monkeypatch.setattr(group, "_away_until", 0.0)
    counted = Counted()
    assert not await group.layer_answers()
    assert counted("glassbox_announcements_dropped_total") == 0
    assert not await group.tell("session.1", {"type": "recorded"})
    assert counted("glassbox_announcements_dropped_total") == 1


class TestRunsByState:
    def states(self) -> dict[str, float]:
        (line, *lines) = [line for line in generate_latest().decode().splitlines() if line.startswith("glassbox_runs{")]
        pairs = [found.removeprefix('glassbox_runs{state="').split('"} ') for found in (line, *lines)]
        return {state: float(value) for state, value in pairs}

    async def test_they_are_counted_in_the_database(self, inside: InProcessSite, settings: Any) -> None:
        """Those that have not ended, and 0 is said as well."""
        gate = asyncio.Event()
        settings.MODEL = ScriptedModel(["a", gate])
        tab = await inside.tab(await inside.user())
        assert await asyncio.to_thread(self.states) == {"queued": 0, "running": 0, "waiting": 0}
        first = await tab.say("one")
        await tab.say("two")
        await tab.until(lambda tab: tab.runs[first].state == "running")
        assert await asyncio.to_thread(self.states) == {"queued": 1, "running": 1, "waiting": 0}
        gate.set()
        await tab.until_ended()
        assert await asyncio.to_thread(self.states) == {"queued": 0, "running": 0, "waiting": 0}

    def test_a_database_that_hangs_costs_a_moment_and_these_series(
        self, monkeypatch: pytest.MonkeyPatch, settings: Any
    ) -> None:
        """Every other series is told, and however often it is asked, one thread waits."""
        settings.READY_SECONDS = 0.05
        release = threading.Event()
        monkeypatch.setattr(metrics, "count_runs", release.wait)
        before = threading.active_count()
        try:
            for _ in range(4):
                began = time.monotonic()
                text = generate_latest()
                assert time.monotonic() - began < 2
                assert b"glassbox_sockets_open" in text
                assert b"glassbox_runs{" not in text
            assert threading.active_count() == before + 1
        finally:
            release.set()
        waiting = [thread for thread in threading.enumerate() if thread.name == "metrics-database"]
        for thread in waiting:
            thread.join(5)

    def test_a_database_that_fails_costs_these_series(self) -> None:
        """Without the `db` fixture any question to the database is an error."""
        text = generate_latest()
        assert b"glassbox_sockets_open" in text
        assert b"glassbox_runs{" not in text
