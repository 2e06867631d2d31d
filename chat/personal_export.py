"""All that the site has of a user, to be handed to them: a zip with a file of JSON lines for each table.

What would let somebody in (passwords, keys of logins) is left out.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from typing import IO, Any

from django.contrib.auth import get_user_model
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, QuerySet
from django.utils import timezone

from chat import personal
from chat.models import LegalHold

SECRETS = {
    "auth.User.password",
    "axes.AccessLog.session_hash",
    "sessions.Session.session_data",
    "sessions.Session.session_key",
}
ROWS_AT_ONCE = 500


def write_zip(user: Any, file: IO[bytes], *, to_themselves: bool = False) -> dict[str, int]:
    """Write the zip; returns the number of rows of each table that has some.

    What goes `to_themselves` does not say that, and why, somebody holds what they have.
    """
    counts: dict[str, int] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in tables(user, to_themselves=to_themselves):
            count = 0
            with archive.open(f"{name}.jsonl", "w", force_zip64=True) as lines:
                for row in rows.iterator(chunk_size=ROWS_AT_ONCE):
                    lines.write(line(row).encode())
                    count += 1
            if count:
                counts[name] = count
        about = {"user": user.get_username(), "made_at": timezone.now(), "rows": counts}
        archive.writestr("contents.json", json.dumps(about, cls=DjangoJSONEncoder, indent=1, ensure_ascii=False))
    return counts


def tables(user: Any, *, to_themselves: bool = False) -> Iterator[tuple[str, QuerySet[Any]]]:
    """Each table's name and the rows in it that are the user's or name them; names are file names."""
    for model, rows in personal.owned(user).items():
        if not (to_themselves and model is LegalHold):
            yield model._meta.label, rows.order_by("pk")
    for model, field, rows in personal.named(user):
        yield f"{model._meta.label}.{field}", rows.order_by("pk")
    account = get_user_model()._default_manager.filter(pk=user.pk)
    yield "admin.LogEntry.about", personal.entries_about(account).order_by("pk")


def line(row: Model) -> str:
    """A row as a line of JSON: its columns without the secret ones."""
    values = {
        field.attname: field.value_from_object(row)
        for field in row._meta.concrete_fields
        if f"{row._meta.label}.{field.name}" not in SECRETS
    }
    return json.dumps(values, cls=DjangoJSONEncoder, ensure_ascii=False) + "\n"
