"""Taking over: a run whose process is gone goes on from the log, and does nothing twice."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from django.db import transaction
from langchain_core.tools import tool

from agents.registry import AGENTS
from agents.steps import FailureCode, Step, StepType
from agents.tools import TOOLS, ToolSpec
from chat import driver, events, leases, runs
from chat.database import query
from chat.models import ChatSession, Event, Run
from tests.parts.in_process import InProcessSite, InProcessTab
from tests.parts.scripted_model import Call, ScriptedModel, Think


def steps_of(tab: InProcessTab) -> list[tuple[str, str]]:
    return [(f["data"]["type"], f["data"]["content"]) for f in tab.tab.transcript() if f["type"] == "reasoning_step"]


async def another_process(inside: InProcessSite, settings: Any, model: ScriptedModel) -> None:
    """The process is killed, and another one comes."""
    await inside.restart_driver()
    settings.MODEL = model
    driver.current()


async def test_a_half_written_step_is_written_anew(inside: InProcessSite, settings: Any) -> None:
    """What was only a draft is void in every tab; the answer comes whole, once."""
    settings.MODEL = ScriptedModel([Think("Hm. "), "Half of", asyncio.Event()])
    user = await inside.user()
    tabs = [await inside.tab(user), await inside.tab(user)]
    run_id = await tabs[0].say("go")
    for tab in tabs:
        await tab.until(lambda tab: len(tab.runs[run_id].drafts) == 2)
    await another_process(inside, settings, ScriptedModel(["The whole."]))
    truth = None
    for tab in tabs:
        await tab.until_ended(run_id)
        assert steps_of(tab) == [("final_answer", "The whole.")]
        truth = truth or await inside.transcript("s-1")
        assert tab.tab.transcript() == truth
    starts = [frame["data"]["attempt"] for frame in truth or [] if frame["type"] == "reasoning_start"]
    assert starts == [1, 2]


async def test_finished_tools_are_not_run_again(inside: InProcessSite, settings: Any) -> None:
    """The model is asked to go on after the results that are recorded, and sees them."""
    settings.MODEL = ScriptedModel([Call("calculator", {"expression": "6*7"})], ["It is", asyncio.Event()])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until(lambda tab: bool(tab.runs[run_id].drafts) and tab.runs[run_id].last_step == 2)
    successor = ScriptedModel(["42."])
    await another_process(inside, settings, successor)
    await tab.until_ended(run_id)
    assert [kind for kind, _ in steps_of(tab)] == ["tool_use", "tool_result", "final_answer"]
    assert [message.type for message in successor.asked[0][1:]] == ["human", "ai", "tool"]
    assert successor.asked[0][-1].text == "42"
    numbers = await query(lambda: list(Event.objects.exclude(step=None).order_by("seq").values_list("step", flat=True)))
    assert numbers == [1, 2, 3]
    assert [f["data"]["iteration"] for f in tab.tab.transcript() if f["type"] == "reasoning_step"] == [1, 1, 2]


async def lost_after(inside: InProcessSite, steps: list[Step], **state: Any) -> str:
    """A run in a session of its own that was lost after these steps; returns its id."""
    user = await inside.user()
    session = await query(lambda: ChatSession.objects.create(public_id="s-1", owner=user, agent="analyst"))
    accepted = await query(runs.accept, session.pk, message="go", agent="analyst", enable_reasoning=True)
    await query(runs.claim, session.pk, worker="gone", model="m")
    await query(events.record_steps, accepted.run_id, attempt=1, steps=steps)
    if state:
        await query(lambda: Run.objects.update(**state))
    return accepted.run_id


def use(number: int, tool: str, call_id: str, **arguments: Any) -> Step:
    return Step(
        number=number,
        type=StepType.TOOL_USE,
        content=tool,
        iteration=1,
        tool_name=tool,
        call_id=call_id,
        arguments=arguments,
    )


async def test_only_tools_without_a_result_run(inside: InProcessSite, settings: Any) -> None:
    """Of two parallel tools the one that had answered is left alone, the other runs, and the model is asked once, after both."""
    model = settings.MODEL = ScriptedModel(["Both."])
    done = Step(number=3, type=StepType.TOOL_RESULT, content="2", iteration=1, tool_name="calculator", call_id="a")
    steps = [use(1, "calculator", "a", expression="1+1"), use(2, "calculator", "b", expression="2+2"), done]
    run_id = await lost_after(inside, steps)
    tab = await inside.tab(await query(lambda: Run.objects.get().session.owner))
    await tab.until_ended(run_id)
    assert steps_of(tab)[2:] == [("tool_result", "2"), ("tool_result", "4"), ("final_answer", "Both.")]
    assert len(model.asked) == 1
    assert [message.text for message in model.asked[0][-2:]] == ["2", "4"]
    assert tab.tab.transcript() == await inside.transcript("s-1")


def _taken_by_an_operator() -> None:
    with transaction.atomic():
        assert leases.take_from_worker(Run.objects.select_for_update().get())


@pytest.mark.parametrize("taken", [False, True], ids=["lost", "taken by an operator"])
async def test_a_tool_that_may_have_had_its_effect_is_not_repeated(
    inside: InProcessSite, settings: Any, taken: bool
) -> None:
    """Begun without an end and not marked safe to repeat: its outcome is unknown, the run ends, the user decides. That is one
    attempt more, whoever began it.
    """
    model = settings.MODEL = ScriptedModel(["never"])
    run_id = await lost_after(inside, [use(1, "send_money", "a", amount=5)])
    if taken:
        await query(_taken_by_an_operator)
    tab = await inside.tab(await query(lambda: Run.objects.get().session.owner))
    await tab.until_ended(run_id)
    assert model.asked == []
    (_, result, error) = [f["data"] for f in tab.tab.transcript() if f["type"] == "reasoning_step"]
    assert (result["type"], result["is_error"], result["code"]) == ("tool_result", True, FailureCode.OUTCOME_UNKNOWN)
    assert "send_money" in error["content"]
    assert (result["attempt"], error["attempt"]) == (2, 2)
    assert (await query(Run.objects.get)).attempt == 2
    assert tab.tab.runs[run_id].state == "failed"


@pytest.mark.parametrize(
    ("steps", "state", "ends"),
    [
        ([Step(number=1, type=StepType.FINAL_ANSWER, content="Done.", iteration=1)], {}, "completed"),
        ([use(1, "calculator", "a")], {"stop": True}, "stopped"),
        ([use(1, "calculator", "a")], {"losses": 2}, "failed"),
    ],
    ids=["answered", "asked to stop", "lost three times"],
)
async def test_a_lost_run_that_has_nothing_left_to_do_ends(
    inside: InProcessSite, settings: Any, steps: list[Step], state: dict[str, Any], ends: str
) -> None:
    """An answer that stands, a stop that was asked for, and the last attempt: each ends the run, once, in its own way."""
    from django.utils import timezone

    model = settings.MODEL = ScriptedModel(["never"])
    changes = {"losses": state["losses"]} if "losses" in state else {}
    changes |= {"stop_asked_at": timezone.now()} if "stop" in state else {}
    run_id = await lost_after(inside, steps, **changes)
    tab = await inside.tab(await query(lambda: Run.objects.get().session.owner))
    await tab.until_ended(run_id)
    assert tab.tab.runs[run_id].state == ends
    assert model.asked == []
    assert tab.tab.transcript() == await inside.transcript("s-1")


@pytest.fixture
def payments(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the analyst's new tool `send_money`, which must not act twice, has sent."""
    sent: list[int] = []

    @tool
    async def send_money(amount: int) -> str:
        """Send money."""
        sent.append(amount)
        return "sent"

    module = ModuleType("payments_of_the_test")
    module.send_money = send_money  # type: ignore[attr-defined] # a module made here
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(TOOLS, "send_money", ToolSpec(name="send_money", module=module.__name__, timeout=5))
    monkeypatch.setitem(AGENTS, "analyst", replace(AGENTS["analyst"], tools=("send_money",)))
    return sent


async def test_a_tool_that_must_not_act_twice_acts_where_the_run_is_ours(
    inside: InProcessSite, settings: Any, payments: list[int]
) -> None:
    """With the lease in hand it begins."""
    settings.MODEL = ScriptedModel([Call("send_money", {"amount": 5})], ["Sent."])
    tab = await inside.tab(await inside.user())
    await tab.until_ended(await tab.say("go", agent_name="analyst"))
    assert payments == [5]


async def test_a_process_that_lost_the_run_does_not_act(
    inside: InProcessSite, settings: Any, payments: list[int]
) -> None:
    """Frozen after its call was recorded and taken over meanwhile, a process wakes, looks whether the run is still its own, and
    leaves the tool alone.
    """
    settings.WATCH_SECONDS = 60  # It would find out by its watch too, only later than the tool.
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel([gate, Call("send_money", {"amount": 5})], ["Sent."])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go", agent_name="analyst")
    await tab.until(lambda tab: tab.runs[run_id].state == "running")

    def taken_over_once_recorded(*arguments: Any, **named: Any) -> Any:
        recorded = record(*arguments, **named)
        Run.objects.update(worker="another")
        return recorded

    record = events.record_steps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "record_steps", taken_over_once_recorded)
        gate.set()
        await tab.until(lambda tab: tab.runs[run_id].last_step == 1)
        async with asyncio.timeout(5):
            while driver.current().active:  # noqa: ASYNC110 - what lets go of a run tells nobody
                await asyncio.sleep(0.01)
    assert payments == []
    assert (await query(Run.objects.get)).state == "running"


async def test_calls_of_one_id_are_told_apart(inside: InProcessSite, settings: Any, payments: list[int]) -> None:
    """Some models count their calls anew in each answer: that an earlier one of that id has its result says nothing of this one."""
    model = settings.MODEL = ScriptedModel(["never"])
    done = Step(number=2, type=StepType.TOOL_RESULT, content="sent", iteration=1, tool_name="send_money", call_id="0")
    later = replace(use(3, "send_money", "0", amount=5), iteration=2)
    run_id = await lost_after(inside, [use(1, "send_money", "0", amount=5), done, later])
    tab = await inside.tab(await query(lambda: Run.objects.get().session.owner))
    await tab.until_ended(run_id)
    assert (payments, model.asked) == ([], [])
    result = [f["data"] for f in tab.tab.transcript() if f["type"] == "reasoning_step"][-2]
    assert (result["type"], result["iteration"], result["code"]) == ("tool_result", 2, FailureCode.OUTCOME_UNKNOWN)
    assert tab.tab.runs[run_id].state == "failed"
