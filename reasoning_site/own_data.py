"""What the site has of whoever asks, for themselves to take out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chat.zip_answer import zip_answer

# Of whom it is being put together in this process: it takes the more the more there is, and once at a time is enough.
_making: set[Any] = set()


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def own_data(request: HttpRequest) -> HttpResponseBase:
    """Say what it is; with POST, hand it out."""
    if request.method == "POST":
        if request.user.pk in _making:
            text = "What there is of you is being put together already. Try again when that download has come."
            return HttpResponse(text, status=429, content_type="text/plain", headers={"Retry-After": "30"})
        _making.add(request.user.pk)
        try:
            return zip_answer(request, request.user, to_themselves=True)
        finally:
            _making.discard(request.user.pk)
    return render(request, "registration/own_data.html")
