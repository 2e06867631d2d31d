"""Guessing passwords: bounded for a name and an address, without standing in anybody else's way."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.db.models import F
from django.http import HttpResponse
from django.test import Client, RequestFactory

from reasoning_site.client_address import client_address
from tests.parts.site_process import PASSWORD

HERE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture(autouse=True)
def three_tries(settings: Any) -> None:
    settings.SIGN_IN_TRIES = settings.AXES_FAILURE_LIMIT = 3


def sign_in(name: str, password: str, *, address: str = HERE, where: str = "/accounts/login/", **headers: str) -> Any:
    client = Client(REMOTE_ADDR=address, headers=headers)
    return client.post(where, {"username": name, "password": password})


def guess(name: str, times: int, **more: str) -> Any:
    answers = [sign_in(name, f"guess {number}", **more) for number in range(times)]
    return answers[-1]


def is_locked(answer: HttpResponse) -> bool:
    return answer.status_code == 429


@pytest.mark.parametrize("where", ["/accounts/login/", "/admin/login/"])
def test_too_many_wrong_passwords_are_answered_with_when_to_come_back(staff: User, where: str) -> None:
    """Also the right one is, until then; and what is tried meanwhile makes it no longer."""
    assert not is_locked(guess("staff", 2, where=where))
    locked = guess("staff", 1, where=where)
    assert is_locked(locked)
    assert "Try again in 5 minutes." in re.sub(r"\s+", " ", locked.text)
    assert 295 <= int(locked["Retry-After"]) <= 300
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(seconds=200))
    right = sign_in("staff", PASSWORD, where=where)
    assert is_locked(right)
    assert 95 <= int(right["Retry-After"]) <= 100
    assert "in 100 seconds" in right.text or "in 9" in right.text
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(seconds=100))
    assert sign_in("staff", PASSWORD, where=where).status_code == 302


def test_nobody_else_is_locked_out(owner: User, other: User) -> None:
    """Neither others from there, nor the same name from elsewhere."""
    assert is_locked(guess("owner", 3))
    assert sign_in("other", PASSWORD).status_code == 302
    assert sign_in("owner", PASSWORD, address=ELSEWHERE).status_code == 302
    assert is_locked(sign_in("owner", PASSWORD))


def test_another_browser_is_no_way_around(owner: User) -> None:
    """Nor another spelling of an address, nor another address of the same network, nor a claim to be somebody else."""
    for number in range(2):
        sign_in("owner", "guess", user_agent=f"browser {number}")
    assert is_locked(sign_in("owner", "guess", user_agent="browser 2"))
    assert is_locked(sign_in("owner", PASSWORD, address="::ffff:192.0.2.1"))
    assert is_locked(sign_in("owner", PASSWORD, x_forwarded_for=ELSEWHERE))
    assert is_locked([sign_in("owner", "guess", address=f"2001:db8::{number}") for number in range(3)][-1])


def test_a_right_password_makes_the_wrong_ones_forgotten(owner: User) -> None:
    guess("owner", 2)
    assert sign_in("owner", PASSWORD).status_code == 302
    assert not is_locked(guess("owner", 2))


def test_a_name_that_nobody_has_is_locked_out_alike(owner: User) -> None:
    """What is said does not tell whether there is somebody of that name."""
    known, unknown = guess("owner", 3), guess("nobody", 3)
    assert is_locked(known)
    assert known.text == unknown.text


def test_what_was_typed_as_a_password_is_kept_nowhere(owner: User) -> None:
    guess("owner", 3)
    for attempt in AccessAttempt.objects.values():
        assert "guess" not in str(attempt)


def test_behind_a_proxy_the_clients_are_told_apart_by_the_address_that_it_adds(owner: User, settings: Any) -> None:
    """What stands before it in the header is the client's own claim, and no way around."""
    settings.TRUSTED_PROXIES = 1
    for number in range(3):
        answer = sign_in("owner", "guess", address="10.0.0.1", x_forwarded_for=f"198.51.100.{number}, {HERE}")
    assert is_locked(answer)
    assert sign_in("owner", PASSWORD, address="10.0.0.1", x_forwarded_for=ELSEWHERE).status_code == 302
    assert is_locked(sign_in("owner", PASSWORD, address="10.0.0.1", x_forwarded_for=HERE))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.1", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        (2, "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "203.0.113.9,198.51.100.1 ,10.0.0.2", "198.51.100.1"),
        (2, "198.51.100.1", "10.0.0.1"),
        (1, "unknown", "10.0.0.1"),
        (1, "' OR 1=1 --", "10.0.0.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_address_of_a_client(proxies: int, forwarded: str | None, address: str, settings: Any) -> None:
    """As many from the end of the header as there are proxies, and where that is no address, the one that asked."""
    settings.TRUSTED_PROXIES = proxies
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers=headers)
    assert client_address(request) == address
