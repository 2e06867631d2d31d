"""Events are never changed and go only with their session, whoever speaks to the database; and what is done once a day."""

from typing import Any

import django.utils.timezone
from django.db import migrations, models

SQLITE = """
CREATE TRIGGER chat_event_is_never_changed BEFORE UPDATE ON chat_event
BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END
"""
# At the end of the transaction: Django deletes the events before their session.
POSTGRESQL = """
CREATE FUNCTION chat_event_is_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an event is never changed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE FUNCTION chat_event_goes_with_its_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM chat_chatsession WHERE id = OLD.session_id) THEN
        RAISE EXCEPTION 'an event is deleted only with its session' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER chat_event_is_never_changed BEFORE UPDATE ON chat_event
    FOR EACH ROW EXECUTE FUNCTION chat_event_is_never_changed();
CREATE CONSTRAINT TRIGGER chat_event_goes_with_its_session AFTER DELETE ON chat_event
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION chat_event_goes_with_its_session()
"""
UNDO = {
    "sqlite": "DROP TRIGGER IF EXISTS chat_event_is_never_changed",
    "postgresql": """
DROP TRIGGER IF EXISTS chat_event_is_never_changed ON chat_event;
DROP TRIGGER IF EXISTS chat_event_goes_with_its_session ON chat_event;
DROP FUNCTION IF EXISTS chat_event_is_never_changed();
DROP FUNCTION IF EXISTS chat_event_goes_with_its_session()
""",
}


def make_triggers(apps: Any, schema_editor: Any) -> None:
    sql = {"sqlite": SQLITE, "postgresql": POSTGRESQL}[schema_editor.connection.vendor]
    schema_editor.execute(sql)


def drop_triggers(apps: Any, schema_editor: Any) -> None:
    schema_editor.execute(UNDO[schema_editor.connection.vendor])


class Migration(migrations.Migration):
    dependencies = [("chat", "0005_rollups")]

    operations = [
        migrations.CreateModel(
            name="Chore",
            fields=[
                ("name", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("begun_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("said", models.TextField(blank=True)),
            ],
        ),
        migrations.AlterModelOptions(
            name="chatsession",
            options={
                "ordering": ["-updated_at", "-pk"],
                "permissions": [
                    ("read_private", "Can read sessions that their users marked private"),
                    ("export_transcripts", "Can take transcripts out"),
                    ("erase_user", "Can erase all that the site has of a user"),
                ],
                "verbose_name": "session",
            },
        ),
        migrations.RunPython(make_triggers, drop_triggers, elidable=False),
    ]
