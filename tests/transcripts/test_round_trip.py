"""What is taken out and taken in again is the same, byte for byte; nothing is half taken in, and nothing taken in runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model

from agents.steps import StepType
from chat import frames, run_queue, runs, tool_counts
from chat.models import ChatSession, Event, EventType, Feedback, Run, RunState, ToolCount
from chat.transcripts import lossless
from chat.transcripts.lines import BadFile
from tests.transcripts.files import empty, joined, lines, read, select, written
from tests.transcripts.variety import Variety

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("seed", range(8))
def test_taken_in_and_out_again_it_is_the_same(seed: int) -> None:
    Variety(seed).fill()
    before = written()
    events = Event.objects.count()
    stopped = Run.objects.filter(state__in=(RunState.QUEUED, RunState.RUNNING)).count()
    empty()
    outcomes = read(before)
    assert all(not outcome.conflict and not outcome.was_there for outcome in outcomes)
    assert sum(outcome.stopped for outcome in outcomes) == stopped
    assert Event.objects.count() == events + stopped
    assert written() == before


@pytest.mark.parametrize("form", ["csv", "md", "html", "messages", "pairs"])
def test_every_format_of_what_was_taken_in_is_the_same(form: str) -> None:
    Variety(3).fill(10)
    before, file = written(form), written()
    empty()
    read(file)
    assert written(form) == before


def test_the_variety_has_everything() -> None:
    """Else the tests above would prove less than they say."""
    Variety(0).fill(20)
    assert set(Event.objects.values_list("type", flat=True)) == set(EventType.values)
    assert set(Event.objects.exclude(step_type="").values_list("step_type", flat=True)) == {*map(str, StepType)}
    assert set(Run.objects.values_list("state", flat=True)) == set(RunState.values) - {"waiting"}
    assert set(ChatSession.objects.values_list("is_private", flat=True)) == {True, False}
    assert Feedback.objects.filter(thumb=Feedback.UP).exists()
    assert Run.objects.filter(parent__isnull=False, attempt=3).exists()


@pytest.mark.parametrize(
    ("model", "values", "left_out"),
    [
        # Follow from the events, or are another installation's own.
        (ChatSession, lossless.session_values, {"id", "public_id", "head", "epoch", "updated_at"}),
        # Of one that has ended there is no lease; the calls of tools follow from the events.
        (Run, lossless.run_values, {"session", "lease_until", "tool_calls"}),
        (Event, lossless.event_values, {"id", "session"}),
        (Feedback, lossless.feedback_values, {"id", "run"}),
    ],
)
def test_no_column_is_forgotten(model: type[Model], values: Any, left_out: set[str]) -> None:
    """A column that is added to a model must be taken out and in as well, or stand here with its reason."""
    Variety(0).fill()
    written_names = set(values(model._default_manager.first())) - {"id", "feedback"}
    assert {field.name for field in model._meta.fields} - left_out - {"id"} == written_names


def test_what_is_taken_in_counts_in_statistics() -> None:
    """The roll-up of tools, which is not in the file, is made of the steps that are."""
    Variety(0).fill()
    tool_counts.rebuild(errors_are_known=True)

    def counted() -> list[tuple[Any, ...]]:
        tools = ToolCount.objects.order_by("run", "tool_name").values_list("run", "tool_name", "calls", "errors")
        return [*tools, *Run.objects.order_by("pk").values_list("pk", "tool_calls")]

    before, file = counted(), written()
    assert ToolCount.objects.exists()
    empty()
    assert not counted()
    read(file)
    assert counted() == before


def test_taken_in_twice_it_changes_nothing() -> None:
    Variety(1).fill(unfinished=True)
    file = written()
    assert all(outcome.was_there for outcome in read(written(selection=select())) if not outcome.conflict)
    empty()
    read(file)
    rows = list(Event.objects.values()), list(Run.objects.values()), list(ChatSession.objects.values())
    outcomes = read(file)
    assert all(outcome.was_there for outcome in outcomes)
    assert (list(Event.objects.values()), list(Run.objects.values()), list(ChatSession.objects.values())) == rows


def test_another_session_of_the_same_id_is_refused_and_the_rest_is_taken_in() -> None:
    first, second = Variety(2).fill(2, unfinished=False)
    file = written()
    second.delete()
    ChatSession.objects.filter(pk=first.pk).update(title="another")
    outcomes = {outcome.public_id: outcome for outcome in read(file)}
    assert "another session with this id" in outcomes[first.public_id].conflict
    assert not outcomes[second.public_id].conflict
    assert ChatSession.objects.get(public_id=first.public_id).title == "another"


def test_a_session_that_has_gone_on_is_refused_and_stays() -> None:
    (session,) = Variety(2).fill(1, unfinished=False)
    file = written()
    accepted = runs.accept(session.pk, message="more", agent=None, enable_reasoning=True)
    (outcome,) = read(file)
    assert "has gone on" in outcome.conflict
    assert Run.objects.filter(pk=accepted.run_id).exists()


def test_a_run_that_is_elsewhere_is_refused_with_its_session() -> None:
    (session,) = Variety(2).fill(1, unfinished=False)
    file = written().replace(session.public_id.encode(), b"other-id")
    (outcome,) = read(file)
    assert "is in another session here" in outcome.conflict
    assert ChatSession.objects.count() == 1


def test_users_are_found_by_name_or_made_and_cannot_sign_in() -> None:
    Variety(4).fill(8, unfinished=False)
    file = written()
    empty()
    ada = User.objects.create_user("ada")
    made = {outcome.new_user for outcome in read(file)}
    assert made == {"", "bob@example.org"}
    bob = User.objects.get(username="bob@example.org")
    assert not bob.is_active
    assert not bob.has_usable_password()
    assert ada.chat_sessions.exists()
    assert bob.chat_sessions.exists()


def test_with_an_owner_all_sessions_are_that_users() -> None:
    Variety(4).fill(8, unfinished=False)
    file = written()
    empty()
    carol = User.objects.create_user("carol")
    read(file, owner=carol)
    assert set(ChatSession.objects.values_list("owner", flat=True)) == {carol.pk}
    assert User.objects.count() == 1
    assert all(outcome.was_there for outcome in read(file, owner=carol))


def test_a_run_that_was_under_way_is_stopped_and_nobody_goes_on_with_it() -> None:
    (session,) = _with_unfinished()
    old_epoch = session.epoch
    file = written()
    empty()
    (outcome,) = read(file)
    assert outcome.stopped == 2
    assert not Run.objects.filter(ended_at=None).exists()
    assert not run_queue.first_waiting().exists()
    taken_in = ChatSession.objects.get()
    assert taken_in.epoch != old_epoch
    seqs = list(taken_in.events.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, taken_in.head + 1))
    # What the page is sent of it can be made, and every run has an end there.
    told = [json.loads(text)["type"] for event in taken_in.events.select_related("run") for text in frames.of(event)]
    assert told.count("reasoning_complete") + told.count("message_removed") == taken_in.runs.count()
    # The user may go on: the next run is the only one that waits.
    accepted = runs.accept(taken_in.pk, message="on", agent=None, enable_reasoning=True)
    claimed = runs.claim(taken_in.pk, worker="w", model="m")
    assert claimed is not None
    assert str(claimed.run.pk) == accepted.run_id


def _with_unfinished() -> list[ChatSession]:
    for seed in range(100):
        sessions = Variety(seed).fill(1)
        if Run.objects.filter(state=RunState.RUNNING).exists():
            return sessions
        empty()
    raise AssertionError("no seed gives one")


def test_a_session_taken_out_in_part_is_numbered_anew() -> None:
    """A log has no gaps: the page would ask for what is missing for ever."""
    sessions = Variety(5).fill(8, unfinished=False)
    session = max(sessions, key=lambda session: session.runs.count())
    *_, last = session.runs.order_by("seq")
    ids = [last.pk.hex]
    file = written(selection=type(select())(runs=ids, last_event=10**9, reader=None, about=select().about))
    file = file.replace(b'"runs":%d' % len(select().runs), b'"runs":1')
    empty()
    (outcome,) = read(file)
    assert outcome.renumbered
    run = Run.objects.get()
    assert run.seq == 1
    assert run.parent is None
    assert list(Event.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, outcome.events + 1))
    assert all(one.was_there for one in read(file))


def test_a_session_deleted_while_it_was_taken_out_is_left_out_and_the_rest_is_taken_in() -> None:
    first, second = Variety(5).fill(2, unfinished=False)
    selection = select()
    second.delete()
    file = written(selection=selection)
    empty()
    assert [outcome.public_id for outcome in read(file)] == [first.public_id]


def test_a_run_deleted_in_the_middle_of_it_is_left_out() -> None:
    Variety(5).fill(1, unfinished=False)
    all_lines = lines(written())
    (at, event) = [(at, line) for at, line in enumerate(all_lines) if line["line"] == "event"][1]
    gone = {"line": "gone", "run": event["run"]}
    rest = [line for line in all_lines[at + 1 :] if line.get("run") != event["run"]]
    empty()
    read(joined([*all_lines[:at], gone, *rest]))
    assert not Run.objects.filter(pk=event["run"]).exists()


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_of_a_file_that_was_cut_off_the_last_session_is_not_taken_in(cut: int) -> None:
    first, second = Variety(6).fill(2, unfinished=False)
    file = written()[:-cut]
    empty()
    with pytest.raises(BadFile, match="cut off"):
        read(file if cut > 1 else b"\n".join(file.split(b"\n")[:-1]) + b"\n")
    assert not ChatSession.objects.filter(public_id=second.public_id).exists()
    assert ChatSession.objects.filter(public_id=first.public_id).exists()
