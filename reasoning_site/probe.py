"""`python -m reasoning_site.probe PORT`: whether the web server on this port of this machine answers, told by the exit code.

For health checks, which ask every few seconds: it loads neither Django's settings nor its applications.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence

from reasoning_site import environment as env

SECONDS = 4


def host_among(allowed: Sequence[str]) -> str:
    """A host name that a site with these `ALLOWED_HOSTS` answers to."""
    first = allowed[0] if allowed else "localhost"
    return "localhost" if first == "*" else first.removeprefix(".")


def what_is_wrong(port: int, host: str) -> str:
    """Ask `/healthz`. Empty if it says that all is well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"Host": host})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return "" if status == 200 else f"it answers {status}"


if __name__ == "__main__":
    sys.exit(what_is_wrong(int(sys.argv[1]), host_among(env.items("ALLOWED_HOSTS"))) or 0)
