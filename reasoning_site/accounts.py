"""Accounts beyond what `django.contrib.auth` does by itself: ways in from the sign-in page, the end of
guessing passwords, and signing up."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import UserCreationForm, UsernameField
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from chat.quotas import spelled
from reasoning_site.client_address import client_address
from reasoning_site.first_admin import has_admin


class SignIn(LoginView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Django's, and what to tell somebody without an account: can they make one, or is there none at all yet?"""
        return super().get_context_data(sign_up=settings.SIGN_UP, has_admin=has_admin(), **kwargs)


def locked_out(request: HttpRequest, *_: Any) -> HttpResponse:
    """The answer to a sign-in with a password that was wrong too often, from any page. Called by django-axes.

    What was tried meanwhile does not prolong the wait.
    """
    tried = AccessAttempt.objects.filter(
        username=request.axes_credentials.get("username"),  # type: ignore[attr-defined] # django-axes puts them there
        ip_address=client_address(request),
    )
    last = tried.aggregate(last=Max("attempt_time"))["last"] or timezone.now()
    wait = last + timedelta(seconds=settings.SIGN_IN_SECONDS) - timezone.now()
    seconds = max(1, math.ceil(wait.total_seconds()))
    answer = render(request, "registration/locked_out.html", {"wait": spelled(seconds)}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer


class SignUpForm(UserCreationForm):  # type: ignore[type-arg] # generic in its stubs alone
    """A new account. Without an e-mail address its password cannot be reset by its owner."""

    class Meta:
        model = User
        fields = ("username", "email")
        field_classes = {"username": UsernameField}


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Make an account and sign it in. Where `SIGN_UP` is off, there is no such page."""
    if not settings.SIGN_UP:
        raise Http404
    if request.user.is_authenticated:
        return redirect(settings.LOGIN_REDIRECT_URL)
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.save(), backend=settings.SIGN_IN_BACKEND)
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "registration/sign_up.html", {"form": form})
