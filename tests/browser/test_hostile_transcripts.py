"""Hostile text on the admin's pages of transcripts: stored in every column that they show, it is text everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, Request, expect

from tests.browser.transcript_page import TranscriptPage
from tests.parts.browser import NewPage
from tests.parts.site_process import Site
from tests.parts.trap import CORPUS, TRAP

XSS = Path(__file__).parents[1] / "xss.json"

# Two sessions, the second of which shows no reasoning: a run for each few vectors, each vector in every text of a step.
PLANT = f"""
import json
from pathlib import Path
from django.contrib.auth.models import User
from django.utils import timezone
from chat.models import ChatSession, Event, Feedback, Run
texts = [vector["text"] for vector in json.loads(Path({str(XSS)!r}).read_text(encoding="utf-8"))]
now = timezone.now()
owner = User.objects.create(username=texts[0][:150])
for public_id, shows in (("hostile", True), ("hostile-quiet", False)):
    session = ChatSession.objects.create(public_id=public_id, owner=owner, title=texts[1][:120], agent=texts[2][:64])
    seq = 0
    for at, text in enumerate(texts):
        run = Run.objects.create(
            session=session, client_id=str(at), seq=seq + 1, message=text, agent=text[:64], model=text[:128],
            state="failed", error_code=text[:32], enable_reasoning=shows, ended_at=now, started_at=now,
        )
        Feedback.objects.create(run=run, thumb=-1, comment=text)
        kinds = ["thought", "tool_use", "tool_result", "final_answer", "error"]
        facts = [("message", ""), ("run_start", ""), *(("step", kind) for kind in kinds), ("run_end", "")]
        for type, kind in facts:
            seq += 1
            data = {{"arguments": {{text: [text]}}, "code": text}} if kind else {{"model": text, "reason": text}}
            if type == "run_end":
                data = {{"started": True, "state": "failed", "code": text, "message": text, "model": text}}
            Event.objects.create(
                session=session, seq=seq, run=run, attempt=1, type=type, step=seq if kind else None, step_type=kind,
                iteration=seq if kind else None, tool_name=text[:128], call_id=text[:128], content=text, data=data,
                created_at=now, duration=0.5,
            )
    ChatSession.objects.filter(pk=session.pk).update(head=seq)
"""


@pytest.fixture(scope="module")
def hostile(site: Site) -> Site:
    """The shared site, with hostile sessions in it."""
    site.manage("shell", "-c", PLANT)
    return site


async def trapped(new_page: NewPage, site: Site) -> tuple[Page, list[str]]:
    """A page of an administrator's, trapped, and all that it asks the network for."""
    page = await new_page(site.new_user(admin=True))
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    page.context.on("request", note)
    await page.add_init_script(f"({TRAP})()")
    return page, asked


async def assert_harmless(page: Page, asked: list[str], site: Site) -> None:
    assert await page.evaluate("() => caught") == []
    assert asked
    assert [url for url in asked if not url.startswith(site.origin + "/")] == []


@pytest.mark.parametrize("session_id", ["hostile", "hostile-quiet"])
async def test_a_transcript_with_all_that_stands_beside(session_id: str, new_page: NewPage, hostile: Site) -> None:
    """Messages, steps, timeline, table, frames, the model's messages, comments, and the steps that were not seen."""
    page, asked = await trapped(new_page, hostile)
    read = await TranscriptPage(page, hostile, session_id).open()
    await expect(read.reader.runs).to_have_count(len(CORPUS))
    assert await page.locator(".bubble-text").all_text_contents() == CORPUS
    await page.locator("#timeline-earlier").click()
    await page.get_by_text("As a table").click()
    await expect(page.locator("#timeline-table tbody").first).to_be_visible()
    # Of every run each panel, all opened at once; far from all of them are in sight.
    await page.evaluate(
        "() => document.querySelectorAll('.beside details').forEach((details) => { details.open = true; })"
    )
    await page.evaluate(
        "() => document.querySelectorAll('.beside [data-slot=unseen]:not([hidden])').forEach((it) => it.click())"
    )
    states = page.locator(".panel [data-slot=state]")
    await expect(states).to_have_count(2 * len(CORPUS))
    await expect(states.filter(has_text="all there are")).to_have_count(2 * len(CORPUS), timeout=60_000)
    await expect(read.reader.steps()).to_have_count(5 * len(CORPUS), timeout=60_000)
    said = await page.locator('[data-panel="messages"] pre').all_text_contents()
    assert set(CORPUS) <= set(said)
    comments = await page.locator(".beside-comment").all_text_contents()
    assert comments == [f"“{text}”" for text in CORPUS]
    for jump in (read.failed, read.slowest):
        await jump.click()
        await expect(read.target).to_be_focused()
    await assert_harmless(page, asked, hostile)


async def test_two_runs(new_page: NewPage, hostile: Site) -> None:
    """Each vector beside the next: titles, totals, the difference of the answers, the cards."""
    page, asked = await trapped(new_page, hostile)
    runs = hostile.runs("hostile")
    for left, right in zip(runs[::6], runs[1::6], strict=False):
        await page.goto(f"{hostile.origin}/admin/chat/run/compare/?left={left['id']}&right={right['id']}")
        await expect(page.locator(".compared-steps .step")).to_have_count(10)
        one, other = left["message"], right["message"]
        parts = page.locator(".answers > *")
        texts = [(await part.evaluate("(it) => it.localName"), await part.text_content()) for part in await parts.all()]
        assert "".join(text or "" for name, text in texts if name != "ins") == one
        assert "".join(text or "" for name, text in texts if name != "del") == other
        await assert_harmless(page, asked, hostile)
