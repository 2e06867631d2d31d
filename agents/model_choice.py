"""Which model is chosen, in words: what the settings read, and the error of a choice that cannot be used.

Imports nothing of LangChain, which costs every command of the site a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

DEMO = "demo"
"""The model that needs no provider."""

AUTO = "auto"
"""As in `openai:auto` and `ollama:auto`: whatever the server has."""


class ModelError(ValueError):
    """The model cannot be used as it is set up; the message says what to do about it."""


# Providers' current models of the middle size that stream, think and call tools.
DEFAULT_OPENAI = "openai:gpt-5.5"
DEFAULT_ANTHROPIC = "anthropic:claude-sonnet-5-5"


def default_spec(environ: Mapping[str, str]) -> str:
    """What `MODEL` is when nobody set it: the provider of which the environment has a key or an address, else the demo.

    An address of one's own comes before a key: it is set on purpose, where keys lie about on many machines.
    """
    base_url = environ.get("OPENAI_BASE_URL", "").strip()
    if base_url and not is_openai(base_url):
        return f"openai:{AUTO}"
    if environ.get("OPENAI_API_KEY", "").strip():
        return DEFAULT_OPENAI
    if environ.get("ANTHROPIC_API_KEY", "").strip():
        return DEFAULT_ANTHROPIC
    if environ.get("OLLAMA_HOST", "").strip():
        return f"ollama:{AUTO}"
    return DEMO


def is_openai(base_url: str) -> bool:
    """Whether an address is OpenAI's own and not that of a compatible server."""
    host = urlsplit(base_url).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")


def describe(spec: object) -> str:
    """What is written down of a run's model before it has answered: the spec, or of a ready model its class."""
    return spec if isinstance(spec, str) else type(spec).__name__
