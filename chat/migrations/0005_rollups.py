"""The roll-up of tools, and what there is already counted into it."""

from __future__ import annotations

from itertools import islice

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models import Count, IntegerField, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce

CALL = Q(step_type="tool_use")
ERROR = Q(step_type="tool_result", data__is_error=True)


def count(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    run, event, tool_count = (apps.get_model("chat", name) for name in ("Run", "Event", "ToolCount"))
    counted = (
        event.objects.filter(CALL | ERROR)
        .order_by()
        .values("run_id", "tool_name")
        .annotate(calls=Count("pk", filter=CALL), errors=Count("pk", filter=ERROR))
    )
    rows = (tool_count(**row) for row in counted.iterator())
    while some := list(islice(rows, 2000)):
        tool_count.objects.bulk_create(some)
    mine = tool_count.objects.filter(run=OuterRef("pk")).order_by().values("run")
    sums = {
        name: Subquery(mine.annotate(sum=Sum(name)).values("sum"), output_field=IntegerField())
        for name in ("calls", "errors")
    }
    run.objects.filter(pk__in=tool_count.objects.values("run")).update(
        tool_calls=Coalesce(sums["calls"], 0), tool_errors=Coalesce(sums["errors"], 0)
    )


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0004_finding"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="tool_calls",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.CreateModel(
            name="ToolCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("tool_name", models.CharField(max_length=128)),
                ("calls", models.PositiveIntegerField(default=0)),
                ("errors", models.PositiveIntegerField(default=0)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="tool_counts", to="chat.run"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["tool_name", "run"], name="tool_count_tool_run")],
                "constraints": [models.UniqueConstraint(fields=("run", "tool_name"), name="one_count_for_each_tool")],
            },
        ),
        migrations.RunPython(count, migrations.RunPython.noop),
    ]
