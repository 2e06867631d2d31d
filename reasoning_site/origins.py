"""The form of an origin in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


def full_origins(name: str, values: Sequence[str]) -> list[str]:
    """The values, each checked to be scheme://host[:port] and nothing more, in lower case as browsers send them.

    Raises ImproperlyConfigured, also for a wildcard: it would look like a permission and be none.
    """
    for value in values:
        try:
            url = urlsplit(value)
            in_full = url.scheme in ("http", "https") and url.hostname and value == f"{url.scheme}://{url.netloc}"
            whole = in_full and not {"@", "*"} & set(url.netloc) and (url.port is None or url.port > 0)
        except ValueError:
            whole = False
        if not whole:
            raise ImproperlyConfigured(
                f"{name} holds {value!r}; write each origin as https://host or https://host:port."
            )
    return [value.lower() for value in values]
