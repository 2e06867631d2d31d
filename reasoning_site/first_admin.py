"""The first administrator: made through a link that is printed where the site starts, once, while there is none."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

_SALT = "reasoning_site.first_admin"


class AdminExists(Exception):
    """Somebody else was first."""


def first_admin_path() -> str | None:
    """The path of a link that makes the first administrator, good for `FIRST_ADMIN_SECONDS`; None if there is one."""
    if has_admin():
        return None
    return reverse("first_admin", args=[signing.dumps("first admin", salt=_SALT)])


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def first_admin(request: HttpRequest, token: str) -> HttpResponse:
    """Make the first administrator and sign in. A link that is used, old or not ours is answered with what to do."""
    if has_admin():
        return _refused(request, "used")
    try:
        signing.loads(token, salt=_SALT, max_age=settings.FIRST_ADMIN_SECONDS)
    except signing.SignatureExpired:
        return _refused(request, "expired")
    except signing.BadSignature:
        return _refused(request, "invalid")
    form: UserCreationForm[User] = UserCreationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = make_first_admin(form)
        except AdminExists:
            return _refused(request, "used")
        login(request, user, backend=settings.SIGN_IN_BACKEND)
        return redirect(settings.LOGIN_REDIRECT_URL)
    return render(request, "registration/first_admin.html", {"form": form})


def make_first_admin(form: UserCreationForm[User]) -> User:
    """Save the form's user as a superuser. Raises AdminExists if there is one already; of two at once, one gets it."""
    with transaction.atomic():
        # Whoever holds this row asks and answers alone. On SQLite, which locks no rows, the transaction does it.
        ContentType.objects.select_for_update().get(app_label="auth", model="user")
        if has_admin():
            raise AdminExists
        user = form.save(commit=False)
        user.is_staff = user.is_superuser = True
        user.save()
    return user


def has_admin() -> bool:
    """Whether there is a superuser, deactivated ones included: a link must not undo a deactivation."""
    return User.objects.filter(is_superuser=True).exists()


def _refused(request: HttpRequest, reason: str) -> HttpResponse:
    return render(request, "registration/first_admin_refused.html", {"reason": reason}, status=410)
