"""What the site has of whoever asks, for themselves to take out."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from chat.zip_answer import zip_answer


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def own_data(request: HttpRequest) -> HttpResponseBase:
    """Say what it is; with POST, hand it out."""
    if request.method == "POST":
        return zip_answer(request, request.user, to_themselves=True)
    return render(request, "registration/own_data.html")
