"""What a visitor is told when a page could not be made."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.defaults import server_error

AGAIN_SECONDS = 5
_AWAY = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Glassbox: back in a moment</title>
<h1>Back in a moment</h1><p>The database does not answer. Nothing is lost; load this page again.</p></html>
"""


def failed(request: HttpRequest) -> HttpResponse:
    """Django calls it while it handles the exception. A database that is away is no fault of the page: 503, and when to come
    back. The page needs no template, as those ask who is signed in.
    """
    if isinstance(sys.exc_info()[1], InterfaceError | OperationalError):
        return HttpResponse(_AWAY, status=503, headers={"Retry-After": str(AGAIN_SECONDS), "Cache-Control": "no-store"})
    return server_error(request)
