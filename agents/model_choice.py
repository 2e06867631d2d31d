"""Words for choosing a model that stand for no model's name, and the error of a choice that cannot be used."""

from __future__ import annotations

DEMO = "demo"
"""The model that needs no provider."""

AUTO = "auto"
"""As in `openai:auto` and `ollama:auto`: whatever the server has."""


class ModelError(ValueError):
    """The model cannot be used as it is set up; the message says what to do about it."""
