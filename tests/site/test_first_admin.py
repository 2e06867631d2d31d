"""The link that makes the first administrator: once, for a day, while there is none."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from reasoning_site.first_admin import AdminExists, first_admin_path, make_first_admin
from tests.parts.site_process import PASSWORD

FORM = {"username": "ada", "password1": PASSWORD, "password2": PASSWORD}


@pytest.fixture
def path(db: None) -> str:
    path = first_admin_path()
    assert path is not None
    return path


def test_makes_a_superuser_signs_in_and_goes_home(path: str) -> None:
    client = Client()
    assert "autofocus" in client.get(path).text
    answer = client.post(path, FORM)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    user = User.objects.get()
    assert (user.username, user.is_staff, user.is_superuser) == ("ada", True, True)
    assert user.check_password(PASSWORD)
    assert client.get("/admin/").status_code == 200


def test_a_second_use_is_refused_and_told_what_to_do(path: str) -> None:
    Client().post(path, FORM)
    for answer in (Client().get(path), Client().post(path, {**FORM, "username": "eve"})):
        assert answer.status_code == 410
        assert "changepassword" in answer.text
    assert User.objects.count() == 1


def test_no_link_is_given_out_while_there_is_a_superuser_also_a_deactivated_one(superuser: User) -> None:
    assert first_admin_path() is None
    superuser.is_active = False
    superuser.save()
    assert first_admin_path() is None


def test_a_link_dies_with_any_superuser_however_made(path: str, superuser: User) -> None:
    assert Client().post(path, FORM).status_code == 410
    assert not User.objects.filter(username="ada").exists()


def test_an_old_link_is_refused_and_told_what_to_do(path: str, settings: Settings) -> None:
    settings.FIRST_ADMIN_SECONDS = -1
    answer = Client().post(path, FORM)
    assert answer.status_code == 410
    assert "Start the site again" in answer.text
    assert not User.objects.exists()


@pytest.mark.parametrize("how", ["cut", "changed", "other key"])
def test_a_link_that_is_not_ours_is_refused(path: str, how: str, settings: Settings) -> None:
    match how:
        case "cut":
            path = path[:-5] + "/"
        case "changed":
            path = path.replace("first-admin/I", "first-admin/J")
        case _:
            settings.SECRET_KEY = "another installation's"
    answer = Client().post(path, FORM)
    assert answer.status_code == 410
    assert "Copy all of it" in answer.text
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "wrong", [{"password2": "something else"}, {"password1": "12345678", "password2": "12345678"}, {"username": ""}]
)
def test_a_wrong_form_is_shown_again_and_the_link_stays_good(path: str, wrong: dict[str, str]) -> None:
    client = Client()
    answer = client.post(path, {**FORM, **wrong})
    assert answer.status_code == 200
    assert "errorlist" in answer.text
    assert not User.objects.exists()
    assert client.post(path, FORM).status_code == 302


def test_the_form_is_protected_against_other_sites(path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get(path)
    assert client.post(path, FORM).status_code == 403
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_is_made_and_the_other_told() -> None:
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def use_the_link(name: str) -> None:
        form: UserCreationForm[User] = UserCreationForm({**FORM, "username": name})
        assert form.is_valid()
        together.wait()
        try:
            outcomes.append(make_first_admin(form).username)
        except AdminExists:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=use_the_link, args=(name,)) for name in ("ada", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = User.objects.get()
    assert made.is_superuser
    assert sorted(outcomes) == sorted([made.username, "refused"])
