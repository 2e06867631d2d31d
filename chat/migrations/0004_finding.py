"""What finding takes: indexes, and on PostgreSQL the words of every step and message, kept by the database itself.

Adding `searched` writes the table anew: minutes for a million steps, in which nobody else writes.
"""

from __future__ import annotations

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

# No field of the model's: SQLite has no such type, and nobody but the search is to read it.
# The lengths: `to_tsvector` raises beyond 1,048,575 bytes, and a step must be recorded whatever is in it. A character takes 4 bytes
# at most, and at most once in a word and once more in its parts ("well-known" is also "well" and "known"), with 4 bytes for each.
# The arguments are JSON as text, whose escapes (a new line is `\\n`) would else grow together with the words after them.
SEARCHED = r"""
ALTER TABLE chat_event ADD COLUMN searched tsvector GENERATED ALWAYS AS (
    to_tsvector('simple',
        tool_name || ' ' || left(content, 100000)
        || ' ' || regexp_replace(left(coalesce(data->>'arguments', ''), 20000), '\\(["\\/bfnrt]|u[0-9a-f]{4})', ' ', 'g')
        || ' ' || left(coalesce(data->>'message', ''), 2000)
    )
) STORED
"""
# Those with NULLS LAST are for columns to sort by, the largest first; SQLite can't have them, and needs none.
POSTGRESQL = [
    SEARCHED,
    "CREATE INDEX event_searched ON chat_event USING gin (searched) WITH (gin_pending_list_limit = 1024)",
    "CREATE INDEX event_tool_failed ON chat_event (created_at, id) WHERE data->'is_error' = 'true'::jsonb",
    "CREATE INDEX event_duration ON chat_event (duration DESC NULLS LAST, id DESC)",
    "CREATE INDEX event_cost ON chat_event (cost DESC NULLS LAST, id DESC)",
    "CREATE INDEX event_tokens ON chat_event ((input_tokens + output_tokens) DESC NULLS LAST, id DESC)",
    # Else the planner knows the largest hundredth of the values by its ends alone, and that is what people look for.
    "ALTER TABLE chat_event ALTER COLUMN duration SET STATISTICS 1000, ALTER COLUMN cost SET STATISTICS 1000",
    "ALTER INDEX event_tokens ALTER COLUMN 1 SET STATISTICS 1000",
    "CREATE INDEX run_duration ON chat_run ((ended_at - started_at) DESC NULLS LAST, id DESC)",
    "CREATE INDEX run_tokens ON chat_run ((input_tokens + output_tokens) DESC NULLS LAST, id DESC)",
    "CREATE INDEX run_cost ON chat_run (cost DESC NULLS LAST, id DESC)",
    "CREATE INDEX run_first_token ON chat_run (first_token_seconds DESC NULLS LAST, id DESC)",
    "CREATE INDEX run_tool_errors ON chat_run (tool_errors DESC, id DESC) WHERE tool_errors > 0",
]
BACK = [
    *(
        f"DROP INDEX {name}"
        for name in "run_tool_errors run_first_token run_cost run_tokens run_duration event_tokens event_cost"
        " event_duration event_tool_failed event_searched".split()
    ),
    "ALTER TABLE chat_event ALTER COLUMN duration SET STATISTICS -1, ALTER COLUMN cost SET STATISTICS -1",
    "ALTER TABLE chat_event DROP COLUMN searched",
]


def forwards(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    _on_postgresql(editor, POSTGRESQL)


def backwards(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    _on_postgresql(editor, BACK)


def _on_postgresql(editor: BaseDatabaseSchemaEditor, statements: list[str]) -> None:
    if editor.connection.vendor == "postgresql":
        for statement in statements:
            editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0003_transcripts"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="chatsession",
            index=models.Index(fields=["updated_at", "id"], name="session_updated"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["created_at", "id"], name="event_created"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("tool_name", ""), _negated=True),
                fields=["tool_name", "created_at", "id"],
                name="event_tool",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("step_type", "error")), fields=["created_at", "id"], name="event_error"
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("tool_name", ""), _negated=True), fields=["run", "tool_name"], name="event_run_tool"
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["agent", "created_at"], name="run_agent"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["model", "created_at"], name="run_model"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("error_code", ""), _negated=True),
                fields=["error_code", "created_at"],
                name="run_error",
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
