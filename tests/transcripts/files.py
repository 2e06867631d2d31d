"""Files of transcripts from and into the tests' own database."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import User

from chat.models import ChatSession, Run
from chat.transcripts.form import About
from chat.transcripts.forms import FORMS
from chat.transcripts.parts import parts
from chat.transcripts.selection import Selection, ids_of, last_event, ordered
from chat.transcripts.taking_in import Outcome, take_in


def select(*public_ids: str) -> Selection:
    """These sessions, or all."""
    runs = Run.objects.filter(session__public_id__in=public_ids) if public_ids else Run.objects.all()
    ids = ids_of(ordered(runs))
    return Selection(runs=ids, last_event=last_event(), reader=None, about=About(runs=len(ids)))


def written(form: str = "jsonl", selection: Selection | None = None) -> bytes:
    return b"".join(part.content for part in parts(selection or select(), FORMS[form]))


def read(content: bytes, *, owner: Any = None) -> list[Outcome]:
    return list(take_in(io.BytesIO(content), owner=owner))


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.split(b"\n") if line]


def joined(lines: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def empty() -> None:
    """No session and no user is left."""
    ChatSession.objects.all().delete()
    User.objects.all().delete()
