"""How long sessions are kept: as the rules of their agents say, and not at all less."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import (
    Case,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Now

from chat import deletion, holds
from chat.models import ChatSession, RetentionRule, Run

# Of an agent without a rule. Longer than any rule may be.
FOR_EVER = 2_000_000_000
LONGEST_DAYS = 36_500
# Of a session in which nothing was ever said, that has no name and that nobody marked private.
UNUSED_DAYS = 2
BATCH = 100


def due() -> QuerySet[ChatSession]:
    """The sessions that are to be deleted now, by the database's clock: their last event is older than the longest rule of
    the agents of their runs says, none of which is without a rule; no hold keeps them, and nothing is under way in them. With
    or without rules those go that were never used.
    """
    rules = dict(RetentionRule.objects.values_list("agent", "days"))
    runs = Run.objects.filter(session=OuterRef("pk")).order_by()
    longest = runs.values("session").annotate(days=Max(_days(rules))).values("days")
    sessions = ChatSession.objects.filter(updated_at__lt=_before(min((UNUSED_DAYS, *rules.values()))))
    sessions = sessions.annotate(keep_days=Coalesce(Subquery(longest), _days(rules)))
    # Every look at an empty page makes one.
    old_enough = Q(head=0, title="", is_private=False, updated_at__lt=_before(UNUSED_DAYS))
    for days in set(rules.values()):
        old_enough |= Q(keep_days=days, updated_at__lt=_before(days))
    under_way = runs.filter(state__in=deletion.UNFINISHED)
    return holds.without_hold(sessions.filter(old_enough)).exclude(Exists(under_way)).order_by("updated_at", "pk")


def batch(after: tuple[int, ...] = ()) -> list[int]:
    """Some of the sessions that are due, but for those that were tried in vain."""
    return list(due().exclude(pk__in=after).values_list("pk", flat=True)[:BATCH])


def delete_if_due(session_id: int) -> bool:
    """Delete a session if that is still to be done: in one short transaction of its own."""
    try:
        return deletion.delete_session(session_id, among=due())
    except holds.Held:
        return False


def apply() -> Iterator[list[int]]:
    """Delete what is due; yields the sessions that are gone, batch by batch."""
    in_vain: tuple[int, ...] = ()
    while found := batch(in_vain):
        gone = [session_id for session_id in found if delete_if_due(session_id)]
        in_vain += tuple(set(found) - set(gone))
        yield gone


def _days(rules: dict[str, int]) -> Case:
    """The days of a row's agent."""
    known = [When(agent=agent, then=Value(days)) for agent, days in rules.items() if agent]
    return Case(*known, default=Value(rules.get("", FOR_EVER)), output_field=IntegerField())


def _before(days: int) -> Combinable:
    return ExpressionWrapper(Now() - timedelta(days=min(days, LONGEST_DAYS)), output_field=DateTimeField())
