"""Who may drive a run, and until when: by the database's clock, in the run's row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Now

from chat import events, run_queue
from chat.events import Recorded
from chat.models import ACTIVE, Run


def take(runs: QuerySet[Run], *, worker: str) -> int:
    """Give runs to a worker, for as long as a lease lasts; returns how many. Must be called where no other worker can hold them."""
    until = ExpressionWrapper(Now() + timedelta(seconds=settings.LEASE_SECONDS), output_field=DateTimeField())
    return runs.update(worker=worker, lease_until=until)


def renew(run_ids: Collection[str], *, worker: str) -> set[str]:
    """Prolong the leases of this worker's runs; returns those that are still its own."""
    runs = Run.objects.filter(pk__in=run_ids, worker=worker, state__in=ACTIVE, lease_until__isnull=False)
    take(runs, worker=worker)
    return {str(pk) for pk in runs.values_list("pk", flat=True)}


@transaction.atomic
def hand_over(run_id: str, *, attempt: int, again: bool = False) -> list[Recorded]:
    """Let go of a run that another worker is to go on with. Raises `events.Superseded` where somebody else has it already.

    `again` makes no difference: what was written is found as it is to be.
    """
    run = events.lock_run(run_id, attempt=attempt)
    Run.objects.filter(pk=run.pk).update(worker="", lease_until=None)
    run_queue.enqueue(run_id, agent=run.agent)
    return []


def take_from_worker(run: Run) -> bool:
    """Take an active run from its worker, for another one to go on with: whoever drives it now is refused from here on. False
    where nobody drives it. Must be called in a transaction that holds the run.
    """
    if run.state not in ACTIVE or run.lease_until is None:
        return False
    # The worker's name stays, so that it knows that the run is not its own any more.
    Run.objects.filter(pk=run.pk).update(attempt=F("attempt") + 1, lease_until=None)
    run_queue.enqueue(str(run.pk), agent=run.agent)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What somebody else has recorded of a worker's runs: which are to stop, and which were taken from it."""

    to_stop: set[str]
    taken: set[str]


def told(run_ids: Collection[str], *, worker: str) -> Told:
    """What is recorded of these runs, which the worker drives."""
    runs = Run.objects.filter(pk__in=run_ids)
    is_taken = Q(state__in=ACTIVE) & (Q(lease_until=None) | ~Q(worker=worker))
    found = runs.filter(is_taken | Q(stop_asked_at__isnull=False))
    to_stop: set[str] = set()
    taken: set[str] = set()
    for pk, state, held_by, lease_until in found.values_list("pk", "state", "worker", "lease_until"):
        was_taken = state in ACTIVE and (lease_until is None or held_by != worker)
        (taken if was_taken else to_stop).add(str(pk))
    return Told(to_stop=to_stop, taken=taken)
