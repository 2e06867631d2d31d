"""What operators do to other people's runs: stop them, ask again, take them from their workers.

Each act is recorded together with its effect: who did it, and that somebody else's session was touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction

from agents import registry
from chat import events, leases, readings, remote, runs
from chat.events import Recorded
from chat.models import Reading, Run, RunState
from chat.protocol import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it, as a sentence for the operator; `done` where anything was. `run_id` is a run that has come of it."""

    done: bool
    sentence: str
    run_id: str = ""


@dataclass(slots=True)
class _Act:
    """An outcome, and what is to be told once it is committed."""

    outcome: Outcome
    recorded: list[Recorded] = field(default_factory=list)
    tells_driver: bool = False


def operate(name: str, run: Run, *, by: Any) -> Outcome:
    """Do one of `ACTIONS` to a run. Whoever calls it has seen to it that this user may, and may read the session."""
    with transaction.atomic():
        act = ACTIONS[name].do(events.lock_run(str(run.pk)))
        if act.outcome.done:
            LogEntry.objects.log_actions(by.pk, [run], CHANGE, ACTIONS[name].done, single_object=True)
            readings.record(by, [run.session], Reading.How.OPERATED, run_id=run.pk)
    async_to_sync(_tell)(run.session_id, act)
    return act.outcome


async def _tell(session_id: int, act: _Act) -> None:
    await events.announce(session_id, act.recorded)
    if act.tells_driver:
        await remote.look(session_id)
        await remote.end_if_lost(session_id)
    if act.outcome.run_id:
        remote.wake(session_id)


def _stop(run: Run) -> _Act:
    if run.is_over:
        return _no(_ended(run))
    if run.stop_asked_at is not None:
        return _no("It was asked to stop already, and ends when its worker hears of it.")
    stopping = runs.stop(run.session_id, str(run.pk), by_operator=True)
    if stopping.recorded:
        return _Act(_yes("Taken back before it began."), recorded=list(stopping.recorded))
    return _Act(_yes("Asked to stop; it ends when its worker hears of it, which takes a moment."), tells_driver=True)


def _retry(run: Run) -> _Act:
    if not run.is_over:
        return _no("It has not ended yet.")
    if run.state == RunState.COMPLETED:
        return _no("It was answered; only what failed or was stopped is asked again.")
    if run.started_at is None and not run.stop_asked_by_operator:
        return _no("Its user took it back before it began.")
    if run.agent not in registry.AGENTS:
        return _no(f"There is no agent {run.agent} any more.")
    try:
        accepted = runs.accept(
            run.session_id,
            message=run.message,
            agent=run.agent,
            enable_reasoning=run.enable_reasoning,
            # Named after the run, as no client can name one: however often somebody asks, it is asked again once.
            client_id=f"again:{run.pk.hex}",
            by_operator=True,
        )
    except Refused as refused:
        return _no(refused.message)
    if accepted.duplicate:
        return _Act(Outcome(done=False, sentence=f"It was asked again already: {accepted.state}."))
    return _Act(
        Outcome(done=True, sentence="Asked again, as a new run.", run_id=accepted.run_id),
        recorded=list(accepted.recorded),
    )


def _take_over(run: Run) -> _Act:
    if run.is_over:
        return _no(_ended(run))
    if run.state == RunState.QUEUED:
        return _no("It waits; there is no worker to take it from.")
    if not leases.take_from_worker(run):
        return _no("It was taken from its worker already, and waits for another.")
    return _Act(_yes("Taken from its worker; it goes on from the log on another one."), tells_driver=True)


@dataclass(frozen=True, slots=True)
class Action:
    """`label` is what its button says, `done` what the history says of it."""

    label: str
    done: str
    do: Callable[[Run], _Act]


ACTIONS: Final = {
    "stop": Action("Stop", "Stopped by an operator.", _stop),
    "retry": Action("Retry", "Asked again by an operator.", _retry),
    "take-over": Action("Take over", "Taken from its worker by an operator.", _take_over),
}


def offered(run: Run) -> list[str]:
    """The actions that make sense for a run as it is."""
    if run.state == RunState.QUEUED:
        return ["stop"]
    if not run.is_over:
        return ["stop", "take-over"]
    return ["retry"] if run.state in (RunState.FAILED, RunState.STOPPED) else []


def _ended(run: Run) -> str:
    return f"It has ended already: {run.state}."


def _yes(sentence: str) -> Outcome:
    return Outcome(done=True, sentence=sentence)


def _no(sentence: str) -> _Act:
    return _Act(Outcome(done=False, sentence=sentence))
