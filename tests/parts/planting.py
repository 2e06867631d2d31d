"""Rows of whatever models there are, made by looking at the models: for tests of what must hold for all of them, later ones too.

Runs inside an installation's own process.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

from django.db.models import Field, ForeignKey, JSONField, Model
from django.utils import timezone

_numbers = count(1)


class Planting:
    """Rows with a text of its own in every column that takes one. Which text, and which row a relation leads to, subclasses say."""

    def __init__(self) -> None:
        self.rows: dict[type[Model], Model] = {}
        self.models: set[str] = set()

    def text(self, field: Any) -> str:
        """A text for this column, no longer than it may be."""
        raise NotImplementedError  # whoever plants has their own

    def json(self, field: Any) -> Any:
        """A value for this column of JSON."""
        return [self.text(field)]

    def one(self, model: type[Model]) -> Model:
        """The row that relations to the model lead to; made where there is none yet."""
        if model not in self.rows:
            self.row(model)
        return self.rows[model]

    def row(self, model: type[Model], /, **given: Any) -> Model:
        """A new row: `given` as it is, relations that may be empty empty, and a text wherever one fits."""
        values: dict[str, Any] = {}
        for field in model._meta.concrete_fields:
            if field.name in given or (isinstance(field, ForeignKey) and field.null):
                continue
            if isinstance(field, ForeignKey):
                values[field.name] = self.one(target_of(field))
            elif isinstance(field, JSONField):
                values[field.name] = self.json(field)
            elif takes_text(field):
                values[field.name] = self.text(field)
            elif not field.has_default() and not field.auto_created and not (field.null and field.name != "step"):
                values[field.name] = plain(field)
        made = model._default_manager.create(**values | given)
        self.rows.setdefault(model, made)
        self.models.add(model._meta.label)
        return made


def takes_text(field: Any) -> bool:
    """Whether anything can be written in this column."""
    return field.get_internal_type() in ("CharField", "TextField") and not field.choices


def target_of(field: ForeignKey[Any, Any]) -> type[Model]:
    """The model that a relation leads to."""
    target = field.remote_field.model
    assert not isinstance(target, str)
    return target


def relations(model: type[Model], silent: Container[str]) -> Iterator[str]:
    """The relations of the model that lead to another one, but for those to models that are `silent`."""
    for field in model._meta.concrete_fields:
        if not isinstance(field, ForeignKey):
            continue
        target = target_of(field)
        if target is not model and target._meta.label not in silent:
            yield field.name


def plain(field: Field[Any, Any]) -> Any:
    """A value that says nothing."""
    if field.choices:
        return next(value for value, _ in field.flatchoices)
    match field.get_internal_type():
        case "DateTimeField":
            return timezone.now()
        case "DateField":
            return datetime.now(UTC).date()
        case "GenericIPAddressField":
            return "192.0.2.1"
        case "BooleanField":
            return False
        case "PositiveIntegerField" | "PositiveBigIntegerField" | "PositiveSmallIntegerField" | "IntegerField":
            return next(_numbers)
    return None
