"""Traces: each attempt at a run is told to a collector once it has ended, without a word of what was said."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chat import driver, traces
from tests.parts.child import free_port
from tests.parts.collector import Collector, Span
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import Call, ScriptedModel, Think
from tests.parts.site_process import TOP, NewSite, Site
from tests.parts.socket_client import open_tab

CANARY = "kanarienvogel"


@pytest.fixture
def traced(collector: Collector, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """The collector, and this process sends it its traces."""
    settings.TRACES = True
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    try:
        yield collector
    finally:
        collector.answer()
        traces.close()


async def roots(collector: Collector, number: int = 1) -> list[Span]:
    """So many spans of attempts, once they have come."""

    def found() -> list[Span]:
        return [span for span in collector.spans if not span.parent]

    await asyncio.to_thread(collector.wait_until, lambda: len(found()) >= number)
    return found()


async def test_a_run_is_a_trace_of_its_calls(inside: InProcessSite, settings: Any, traced: Collector) -> None:
    """Models and tools with their times and tokens under the run, in the words of OpenTelemetry."""
    settings.MODEL = ScriptedModel(
        [Think("Hm."), "Look:", Call("calculator", {"expression": "6*7"}), Call("no_such_tool", {})], ["It is 42."]
    )
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until_ended(run_id)
    (run,) = await roots(traced)
    await asyncio.to_thread(traced.wait_until, lambda: len(traced.spans) == 5)
    assert run.name == "run"
    assert run.attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "researcher",
        "gen_ai.conversation.id": "s-1",
        "gen_ai.request.model": "ScriptedModel",
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 5,
        "glassbox.run.id": run_id,
        "glassbox.run.attempt": 1,
        "glassbox.run.state": "completed",
    }
    assert run.resource["service.name"] == "glassbox"
    calls = sorted((span for span in traced.spans if span.parent), key=lambda span: span.attributes["glassbox.step"])
    names = [span.name for span in calls]
    assert names[0] == names[3] == "chat ScriptedModel"
    assert sorted(names[1:3]) == ["execute_tool calculator", "execute_tool other"]
    assert {span.trace for span in traced.spans} == {run.trace}
    assert {span.parent for span in calls} == {run.id}
    assert [span.attributes["glassbox.iteration"] for span in calls] == [1, 1, 1, 2]
    assert calls[0].attributes["gen_ai.usage.input_tokens"] == 10
    assert [span.kind for span in (calls[0], calls[1])] == [3, 1]
    assert {span.name: span.failed for span in calls[1:3]} == {
        "execute_tool calculator": False,
        "execute_tool other": True,
    }
    assert all(run.began <= span.ended <= run.ended and span.began <= span.ended for span in calls)


async def test_a_failed_run_says_its_code_and_nothing_quotes_anybody(
    inside: InProcessSite, settings: Any, traced: Collector
) -> None:
    """What users, models, tools and providers say is in no byte that is sent."""
    settings.MODEL = ScriptedModel(
        [
            Think(f"{CANARY} thinks"),
            Call(CANARY, {CANARY: CANARY}, id=CANARY),
            Call("calculator", {"expression": CANARY}),
        ],
        [f"{CANARY} says", RuntimeError(f"the prompt was {CANARY}")],
    )
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say(f"{CANARY} asks"))
    (run,) = await roots(traced)
    await asyncio.to_thread(traced.wait_until, lambda: len(traced.spans) == 4)
    assert run.failed
    assert (run.attributes["error.type"], run.attributes["glassbox.run.state"]) == ("internal", "failed")
    assert not any(CANARY.encode() in body for body in traced.bodies)


async def holding(tab: InProcessTab) -> str:
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts))
    return run_id


async def test_all_attempts_at_a_run_are_in_one_trace(inside: InProcessSite, settings: Any, traced: Collector) -> None:
    """Each is a span of its own; those of another run are in another trace."""
    settings.MODEL = ScriptedModel([Call("calculator", {"expression": "1+1"})], ["half", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts) and tab.runs[run_id].last_step == 2)
    await inside.restart_driver()
    settings.MODEL = ScriptedModel(["whole"], ["other"])
    driver.current()
    await tab.until_ended(run_id)
    await tab.until_ended(await tab.say("another"))
    first, second, other = await roots(traced, 3)
    assert first.trace == second.trace != other.trace
    assert len({first.id, second.id, other.id}) == 3
    assert [span.attributes["glassbox.run.attempt"] for span in (first, second)] == [1, 2]
    assert [span.attributes["glassbox.run.state"] for span in (first, second)] == ["unfinished", "completed"]
    under = [[span.name for span in traced.spans if span.parent == root.id] for root in (first, second)]
    assert under == [["chat ScriptedModel", "execute_tool calculator"], ["chat ScriptedModel"]]


async def test_a_collector_that_hangs_delays_no_run(inside: InProcessSite, settings: Any, traced: Collector) -> None:
    """Runs end as ever, and what could be kept comes when it answers."""
    traced.hang()
    settings.MODEL = ScriptedModel(["a"])
    tab = await inside.tab(await inside.user())
    for _ in range(3):
        await tab.until_ended(await tab.say("go"), timeout=5)
    traced.answer()
    await roots(traced, 3)


class TestARealProcess:
    async def a_run(self, site: Site) -> float:
        """Let it run to its end, stop the site, and return how many seconds that took."""
        async with open_tab(site.servers[0], site.new_user(), "s-1") as tab:
            await tab.until_ended(await tab.say("What is 6 * 7?"))
        began = time.monotonic()
        assert await asyncio.to_thread(site.servers[0].term) == 0
        return time.monotonic() - began

    async def test_sends_what_is_left_when_it_stops(self, new_site: NewSite, collector: Collector) -> None:
        site = new_site(MODEL="demo", DEMO_TOKEN_SECONDS="0", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        await self.a_run(site)
        (run,) = [span for span in collector.spans if not span.parent]
        assert run.attributes["gen_ai.request.model"] == "demo"
        assert "execute_tool calculator" in {span.name for span in collector.spans}
        assert run.resource["service.instance.id"]

    @pytest.mark.parametrize("fault", ["hangs", "is not there"])
    async def test_stops_in_time_where_the_collector_is_broken(
        self, new_site: NewSite, collector: Collector, fault: str
    ) -> None:
        collector.hang()
        url = collector.url if fault == "hangs" else f"http://127.0.0.1:{free_port()}"
        site = new_site(MODEL="demo", DEMO_TOKEN_SECONDS="0", OTEL_EXPORTER_OTLP_ENDPOINT=url)
        seconds = await self.a_run(site)
        assert seconds < traces.EXIT_SECONDS + 6
        assert "Traceback" not in site.servers[0].output()
        if fault == "hangs":
            assert collector.requests


def test_a_site_without_traces_starts_without_opentelemetry(tmp_path: Path) -> None:
    """LangSmith, which comes with LangChain and not at the start, imports a part of it for itself; what sends spans nobody does."""
    code = """
import sys, reasoning_site.asgi, reasoning_site.metrics
print([name for name in sys.modules if name.startswith("opentelemetry")])
import chat.driving
print([name for name in sys.modules if name.startswith(("opentelemetry.exporter", "chat.spans"))])
"""
    environment = {"DATA_DIR": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=TOP, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")
