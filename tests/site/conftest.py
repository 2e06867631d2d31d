"""People. Models are imported late: pytest reads this file before Django is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from django.test import Client


@pytest.fixture
def owner(db: None) -> User:
    return _user("owner")


@pytest.fixture
def other(db: None) -> User:
    return _user("other")


@pytest.fixture
def staff(db: None) -> User:
    """May enter the admin, and has been given no permission there."""
    return _user("staff", is_staff=True)


@pytest.fixture
def superuser(db: None) -> User:
    return _user("superuser", is_staff=True, is_superuser=True)


@pytest.fixture
def viewer(staff: User) -> Client:
    """May see sessions, runs and events, but nothing that is private."""
    from django.contrib.auth.models import Permission
    from django.test import Client

    names = ["view_chatsession", "view_run", "view_event"]
    staff.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(staff)
    return client


def _user(name: str, **more: bool) -> User:
    from django.contrib.auth.models import User

    from tests.parts.site_process import PASSWORD

    return User.objects.create_user(name, f"{name}@example.com", PASSWORD, **more)
