"""Signing in and out, passwords, and signing up where the site allows it."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.test import Client
from pytest_django.fixtures import Settings

from tests.parts.site_process import PASSWORD
from tests.site.rows import client_of

NEW = "quite another pass phrase"


def sign_in(client: Client, name: str, password: str, where: str = "/accounts/login/") -> int:
    return client.post(where, {"username": name, "password": password}).status_code


def test_signing_in_leads_to_where_one_wanted_to_go_and_never_to_another_site(owner: User) -> None:
    client = Client()
    sent = client.get("/accounts/password_change/")
    page = client.get(sent["Location"])
    assert 'name="next" value="/accounts/password_change/"' in page.text
    form = {"username": "owner", "password": PASSWORD, "next": "/accounts/password_change/"}
    assert client.post("/accounts/login/", form)["Location"] == "/accounts/password_change/"
    assert Client().post("/accounts/login/", {**form, "next": "https://example.org/"})["Location"] == "/"


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(owner: User) -> None:
    answers = [Client().post("/accounts/login/", {"username": name, "password": "x"}) for name in ("owner", "nobody")]
    assert [answer.status_code for answer in answers] == [200, 200]
    errors = [re.findall(r'<ul class="errorlist.*?</ul>', answer.text, re.DOTALL) for answer in answers]
    assert errors[0] == errors[1] != []


def test_a_deactivated_user_cannot_sign_in_and_is_signed_out(owner: User) -> None:
    client = client_of(owner)
    owner.is_active = False
    owner.save()
    assert client.get("/")["Location"].startswith("/accounts/login/")
    assert sign_in(Client(), "owner", PASSWORD) == 200


def test_the_sign_in_page_says_where_the_first_account_comes_from_while_there_is_none(db: None) -> None:
    sentence = "this site has no administrator"
    assert sentence in Client().get("/accounts/login/").text
    User.objects.create_superuser("admin")
    assert sentence not in Client().get("/accounts/login/").text


def test_signing_out_takes_a_post(owner: User) -> None:
    client = Client()
    client.force_login(owner)
    assert client.get("/accounts/logout/").status_code == 405
    assert client.get("/accounts/password_change/").status_code == 200
    assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert client.get("/accounts/password_change/").status_code == 302


def test_a_changed_password_signs_out_everywhere_else(owner: User) -> None:
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        client.force_login(owner)
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert here.post("/accounts/password_change/", form, follow=True).status_code == 200
    assert here.get("/accounts/password_change/").status_code == 200
    assert elsewhere.get("/accounts/password_change/").status_code == 302
    assert sign_in(Client(), "owner", PASSWORD) == 200
    assert sign_in(Client(), "owner", NEW) == 302


@pytest.mark.parametrize(
    "wrong", [{"old_password": "x"}, {"new_password2": "x"}, {"new_password1": "password", "new_password2": "password"}]
)
def test_a_password_is_not_changed_by_a_wrong_form(owner: User, wrong: dict[str, str]) -> None:
    client = Client()
    client.force_login(owner)
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW, **wrong}
    answer = client.post("/accounts/password_change/", form)
    assert answer.status_code == 200
    assert "errorlist" in answer.text
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


def test_a_forgotten_password_is_set_anew_through_a_link_that_works_once(owner: User) -> None:
    client = Client()
    assert client.post("/accounts/password_reset/", {"email": owner.email}, follow=True).status_code == 200
    (message,) = mail.outbox
    assert message.to == [owner.email]
    assert "Your username: owner" in message.body
    found = re.search(r"http://testserver(/accounts/reset/\S+)", str(message.body))
    assert found
    form = client.get(found[1], follow=True)
    assert form.status_code == 200
    where = form.redirect_chain[-1][0]
    assert client.post(where, {"new_password1": NEW, "new_password2": NEW}, follow=True).status_code == 200
    assert sign_in(Client(), "owner", NEW) == 302
    again = Client().get(found[1], follow=True)
    assert "has been used, or is too old" in again.text


def test_an_unknown_address_gets_no_message_and_the_same_answer(owner: User) -> None:
    answers = [
        Client().post("/accounts/password_reset/", {"email": email}, follow=True)
        for email in (owner.email, "nobody@example.com")
    ]
    assert answers[0].text == answers[1].text
    assert len(mail.outbox) == 1


class TestSignUp:
    FORM = {"username": "new", "email": "", "password1": NEW, "password2": NEW}

    def test_where_it_is_off_there_is_no_such_page(self, db: None) -> None:
        assert Client().get("/accounts/sign-up/").status_code == 404
        assert Client().post("/accounts/sign-up/", self.FORM).status_code == 404
        assert "/accounts/sign-up/" not in Client().get("/accounts/login/").text
        assert not User.objects.exists()

    def test_makes_a_plain_user_who_is_signed_in(self, db: None, settings: Settings) -> None:
        settings.SIGN_UP = True
        client = Client()
        assert "/accounts/sign-up/" in client.get("/accounts/login/").text
        assert client.get("/accounts/sign-up/").status_code == 200
        form = {**self.FORM, "is_staff": "on", "is_superuser": "on"}
        assert client.post("/accounts/sign-up/", form)["Location"] == "/"
        user = User.objects.get()
        assert not user.is_staff
        assert not user.is_superuser
        assert client.get("/accounts/password_change/").status_code == 200
        assert client.get("/accounts/sign-up/")["Location"] == "/"

    def test_refuses_a_name_that_is_taken_in_any_spelling(self, owner: User, settings: Settings) -> None:
        settings.SIGN_UP = True
        answer = Client().post("/accounts/sign-up/", {**self.FORM, "username": "OWNER"})
        assert answer.status_code == 200
        assert "errorlist" in answer.text
        assert User.objects.count() == 1
