"""Full text search over the log, for those who answer for it: which sessions, runs and events hold the words.

All words must be in one event. PostgreSQL looks them up in an index (`searched`, see migration 0004) and takes phrases in quotes,
`or` and `-word`; elsewhere every event is read, and a word may be part of a longer one. Whose sessions somebody may read is not
asked here: the caller has done it.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any, cast

from django.db import connection, transaction
from django.db.models import BooleanField, Exists, F, Field, Func, OuterRef, Q, Value
from django.db.models.expressions import Col, RawSQL
from django.db.models.sql.compiler import SQLCompiler

from chat.models import Event

# Up to so many events are looked up first and then filtered; of more, the newest are among the newest events of all.
MANY = 20_000
NEWEST = 1_000
ENOUGH = 25
WORDS = 20
QUERY = "websearch_to_tsquery('simple', %s)"


def clean(text: str) -> str:
    """As the database takes it."""
    return text.replace("\0", " ").strip()


def events(text: str) -> Q:
    """A condition on events."""
    return _condition("id", text)


def runs(text: str) -> Q:
    """A condition on runs: one of its events holds the words."""
    return _condition("run_id", text)


def sessions(text: str) -> Q:
    """A condition on sessions."""
    return _condition("session_id", text)


def exact_id(text: str) -> uuid.UUID | None:
    """The id of a run, where it is one."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _condition(column: str, text: str) -> Q:
    if connection.vendor != "postgresql":
        held = _words_of(text)
        return held if column == "id" else Q(pk__in=Event.objects.filter(held).order_by().values(column))
    found = _looked_up(column, text)
    if found is not None:
        kind = Event._meta.pk if column == "id" else Event._meta.get_field(column).target_field  # type: ignore[union-attr] # a foreign key
        return Q(pk__in=_Listed(found, kind))
    if column == "id":
        return Q(_Holds(text))
    # Not `=`: PostgreSQL would rather look up all events with the words than ask for each row of a page.
    own = {f"{column}__gte": OuterRef("pk"), f"{column}__lte": OuterRef("pk")}
    return Q(Exists(Event.objects.filter(_Holds(text), **own)))


def _looked_up(column: str, text: str) -> list[Any] | None:
    """The column's values of all events that hold the words; None where there are more than `MANY`, or an index can't tell."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT numnode({QUERY}), querytree({QUERY})", [text, text])
        words, by_index = cursor.fetchone()
        if not words:
            return []
        # Of nothing but words that are not to be there, it can't.
        if by_index == "T" or _are_everywhere(text):
            return None
        # The index is right however many are found: words that are frequent, each by itself, may be rare together.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'")
        cursor.execute(
            f"SELECT count(*), array_agg(DISTINCT {column}) FROM"  # noqa: S608 - a column of ours
            f" (SELECT {column} FROM chat_event WHERE searched @@ {QUERY} LIMIT %s) AS found",
            [text, MANY + 1],
        )
        count, values = cursor.fetchone()
        # What is set for a transaction holds until the outermost ends.
        cursor.execute("SET LOCAL enable_seqscan = DEFAULT")
    return None if count > MANY else values or []


def _are_everywhere(text: str) -> bool:
    """Whether enough of the newest events hold the words: then the newest that do are found soonest from event to event."""
    newest = Event.objects.order_by("-created_at", "-pk").annotate(holds=_Holds(text)).values("holds")[:NEWEST]
    return sum(bool(row["holds"]) for row in newest) >= ENOUGH


class _Holds(Func):
    """Whether an event holds the words. A row's own column, wherever the row comes from in a query."""

    output_field = BooleanField()

    def __init__(self, text: str) -> None:
        super().__init__(F("pk"), Value(text))

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        row, text = self.get_source_expressions()
        sql, params = compiler.compile(text)
        table = compiler.quote_name_unless_alias(cast(Col, row).alias)
        return f"{table}.searched @@ websearch_to_tsquery('simple', {sql})", list(params)


class _Listed(RawSQL):
    """Values as a subquery of one parameter, however many there are."""

    def __init__(self, values: list[Any], kind: Field[Any, Any]) -> None:
        type_name = kind.db_type(connection)
        super().__init__(f"SELECT unnest(%s::{type_name}[])", [values], output_field=kind)


def _words_of(text: str) -> Q:
    """As near to PostgreSQL's reading as a database can come that knows no words."""
    condition = Q()
    for minus, phrase, word in re.findall(r'(-?)(?:"([^"]*)"|(\S+))', text)[:WORDS]:
        part = phrase or word
        if part:
            # JSON is stored in ASCII.
            escaped = json.dumps(part)[1:-1]
            held = Q(content__icontains=part) | Q(tool_name__icontains=part) | Q(data__icontains=escaped)
            condition &= ~held if minus else held
    return condition or Q(pk__in=[])
