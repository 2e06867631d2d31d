"""What is recorded is never changed, and goes only with its session: by the queries, and by the database itself."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from chat.models import Event, Unchangeable
from tests.parts.installation import TOP
from tests.parts.postgres_server import Database
from tests.site.rows import make_session

# Each tries to change what is recorded.
ATTEMPTS: dict[str, Callable[[Event], object]] = {
    "save": lambda event: event.save(),
    "save a field": lambda event: event.save(update_fields=["content"]),
    "delete": lambda event: event.delete(),
    "update": lambda event: Event.objects.filter(pk=event.pk).update(content="x"),
    "delete rows": lambda event: Event.objects.filter(pk=event.pk).delete(),
    "delete a session's": lambda event: event.session.events.all().delete(),
    "update a run's": lambda event: event.run.events.update(content="x"),
    "bulk_update": lambda event: Event.objects.bulk_update([event], ["content"]),
    "update_or_create": lambda event: Event.objects.update_or_create({"content": "x"}, pk=event.pk),
    "replace": lambda event: Event.objects.bulk_create(
        [event], update_conflicts=True, update_fields=["content"], unique_fields=["id"]
    ),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_queries_change_no_event(attempt: str, owner: User) -> None:
    session = make_session(owner, text="said")
    before = list(Event.objects.values())
    event = session.events.get(seq=1)
    event.content = "x"
    with pytest.raises(Unchangeable):
        ATTEMPTS[attempt](event)
    assert list(Event.objects.values()) == before


def test_an_event_goes_with_its_session(owner: User) -> None:
    session = make_session(owner)
    assert Event.objects.count() == 3
    session.delete()
    assert not Event.objects.exists()


def test_the_database_changes_no_event_either(owner: User) -> None:
    make_session(owner, text="said")
    with pytest.raises(DatabaseError, match="an event is never changed"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("UPDATE chat_event SET content = 'x'")
    assert set(Event.objects.values_list("content", flat=True)) == {"said"}


POSTGRESQL = """
import json
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from chat.models import Event
from tests.site.rows import make_session

session = make_session(User.objects.create_user("ada"))
refused = []
for sql in ("UPDATE chat_event SET content = 'x'", "DELETE FROM chat_event WHERE seq = 2"):
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
    except DatabaseError as error:
        refused.append(str(error).splitlines()[0])
left = Event.objects.count()
session.delete()
print(json.dumps([refused, left, Event.objects.count()]))
"""


def test_nor_does_postgresql_which_deletes_none_without_its_session(site_database: Database) -> None:
    env = {
        "PATH": "/usr/bin:/bin",
        "MODEL": "demo",
        "SECRET_KEY": uuid.uuid4().hex * 2,
        "DATABASE_URL": site_database.url,
    }
    done = subprocess.run(
        [sys.executable, str(TOP / "manage.py"), "shell", "-v", "0", "-c", POSTGRESQL],
        env=env,
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    refused, left, after = json.loads(done.stdout.splitlines()[-1])
    assert refused == ["an event is never changed", "an event is deleted only with its session"]
    assert (left, after) == (3, 0)
