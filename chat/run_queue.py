"""The queue of runs that may begin: Procrastinate's, where workers drive runs. Where the web process drives them, there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection, transaction
from django.db.models import CharField, Exists, OuterRef
from django.db.models.functions import Cast

from agents import registry
from chat.models import ACTIVE, Run, RunState

if TYPE_CHECKING:
    from django.db.models import QuerySet

TASK = "chat.drive"
# A worker needs a moment between a run's end and that of its job.
FORGET_SECONDS = 30
FORGET_ENDED = """
DELETE FROM procrastinate_jobs job USING chat_run run
WHERE job.task_name = %s AND job.status = 'doing' AND run.id = job.queueing_lock::uuid
AND run.ended_at < now() - make_interval(secs => %s)
"""


def enqueue(run_id: str, *, agent: str) -> bool:
    """Queue a run for the workers that serve its agent, in the caller's transaction; False where it is queued already."""
    if not settings.HAS_WORKERS:
        return False
    # Not at the top: it is an application of Django's only where there is PostgreSQL.
    from procrastinate import tasks
    from procrastinate.contrib.django.django_connector import DjangoConnector
    from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
    from procrastinate.manager import JobManager

    # Not its application's: in a worker that one has connections of its own, which know nothing of the transaction.
    jobs = JobManager(DjangoConnector())
    job = tasks.configure_task(name=TASK, job_manager=jobs, queue=registry.queue_of(agent), queueing_lock=run_id)
    try:
        # A savepoint: on PostgreSQL the refused double would take the whole transaction along.
        with transaction.atomic():
            job.defer(run_id=run_id)
    except AlreadyEnqueued:
        return False
    except ConnectorException as error:
        # As every other statement of the transaction would say it: whoever writes tries again.
        with connection.wrap_database_errors:
            raise error.__cause__ or error from None
    return True


def enqueue_next(session_id: int) -> None:
    """Queue the session's next run if it may begin now. Must be called in a transaction that holds the session."""
    if not settings.HAS_WORKERS:
        return
    waiting = Run.objects.filter(session_id=session_id, state=RunState.QUEUED).order_by("seq").first()
    if waiting is not None and not Run.objects.filter(session_id=session_id, state__in=ACTIVE).exists():
        enqueue(str(waiting.pk), agent=waiting.agent)


@transaction.atomic
def enqueue_unfinished(run_id: str) -> None:
    """Queue a run that a worker is to begin or to go on with, if it has not ended."""
    run = Run.objects.filter(pk=run_id, ended_at=None).first()
    if run is not None:
        enqueue(run_id, agent=run.agent)


@transaction.atomic
def enqueue_forgotten() -> int:
    """Queue the runs that may begin and are not queued: their worker died between taking and starting them. Returns how many.

    And remove the jobs of runs that are over: where the database was away when a job was done, it would stay under way for ever.
    """
    from procrastinate.contrib.django.models import ProcrastinateJob

    with connection.cursor() as cursor:
        cursor.execute(FORGET_ENDED, [TASK, FORGET_SECONDS])
    jobs = ProcrastinateJob.objects.filter(status="todo", queueing_lock=Cast(OuterRef("pk"), CharField()))
    forgotten = first_waiting().exclude(Exists(jobs))
    return sum(enqueue(str(pk), agent=agent) for pk, agent in forgotten.values_list("pk", "agent"))


def first_waiting() -> QuerySet[Run]:
    """Of each session in which no run is active, the run that is to begin."""
    unfinished = Run.objects.filter(session=OuterRef("session"), state__in=(RunState.QUEUED, *ACTIVE))
    before = unfinished.filter(seq__lt=OuterRef("seq"))
    return Run.objects.filter(state=RunState.QUEUED).exclude(Exists(before)).order_by("created_at")
