"""The formats by name."""

from __future__ import annotations

from typing import Final

from chat.transcripts.datasets import Messages, Pairs
from chat.transcripts.form import Form
from chat.transcripts.lossless import Lossless
from chat.transcripts.markdown import Markdown
from chat.transcripts.printable import Printable
from chat.transcripts.table import Table

FORMS: Final[dict[str, Form]] = {
    form.name: form for form in (Lossless(), Table(), Markdown(), Printable(), Messages(), Pairs())
}
