"""Drafts: text that is still being written, told in few messages, anew where it was not taken, and void where it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from agents.steps import Delta, Discard, StepType
from chat.drafts import Drafts
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import ScriptedModel
from tests.parts.tab import Run as TabRun
from tests.parts.tab import Tab


async def test_a_retried_call_is_told_and_its_text_void(inside: InProcessSite, settings: Any) -> None:
    """Drafts of the broken call disappear from the tab; the page learns that the model was asked again."""
    told: list[str] = []

    async def tell(text: str, at: float) -> bool:
        told.append(text)
        return True

    drafts = Drafts(run_id="r", attempt=1, tell=tell)
    telling = asyncio.create_task(drafts.keep_telling())
    drafts.add(Delta(step=1, call=1, type=StepType.FINAL_ANSWER, iteration=1, text="Half"))
    await asyncio.sleep(0.1)
    drafts.discard(Discard(step=1, call=2, iteration=1))
    drafts.add(Delta(step=1, call=2, type=StepType.FINAL_ANSWER, iteration=1, text="Whole \N{GRINNING FACE}"))
    await asyncio.sleep(0.1)
    drafts.add(Delta(step=1, call=2, type=StepType.FINAL_ANSWER, iteration=1, text="!"))
    await asyncio.sleep(0.1)
    telling.cancel()
    tab = Tab()
    tab.runs["r"] = TabRun(state="running", attempt=1)
    for text in told:
        tab.apply(json.loads(text))
    assert [draft.text for draft in tab.runs["r"].drafts.values()] == ["Whole \N{GRINNING FACE}!"]
    assert tab.runs["r"].retried
    assert [json.loads(text)["data"]["offset"] for text in told][-1] == len("Whole ") + 2


async def test_a_piece_that_the_layer_did_not_take_is_told_again() -> None:
    """Nothing else would say it, if the model pauses just then."""
    taken: list[str] = []
    refused = asyncio.Event()
    complete = asyncio.Event()

    async def tell(text: str, at: float) -> bool:
        if not refused.is_set():
            refused.set()
            return False
        taken.append(text)
        complete.set()
        return True

    drafts = Drafts(run_id="r", attempt=1, tell=tell)
    telling = asyncio.create_task(drafts.keep_telling())
    drafts.add(Delta(step=1, call=1, type=StepType.FINAL_ANSWER, iteration=1, text="One "))
    await asyncio.wait_for(refused.wait(), 5)
    drafts.add(Delta(step=1, call=1, type=StepType.FINAL_ANSWER, iteration=1, text="two."))
    await asyncio.wait_for(complete.wait(), 5)
    telling.cancel()
    (data,) = [json.loads(text)["data"] for text in taken]
    assert (data["offset"], data["content"]) == (0, "One two.")


async def test_deltas_are_coalesced(inside: InProcessSite, settings: Any) -> None:
    """Of a burst of tokens the first goes at once, the rest in few messages that add up to the same text."""
    settings.DELTA_SECONDS = 0.2
    gate = asyncio.Event()
    settings.MODEL = ScriptedModel(["first ", *["x"] * 300, gate])
    tab = await inside.tab(await inside.user())
    run_id = await tab.say("go")
    await tab.until(lambda tab: any(len(draft.text) == 306 for draft in tab.runs[run_id].drafts.values()))
    deltas = [frame["data"] for frame in tab.frames if frame["type"] == "reasoning_delta"]
    assert len(deltas) <= 5
    gate.set()
    await tab.until_ended(run_id)
