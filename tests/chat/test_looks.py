"""What sockets look at with every heartbeat: many at once cost no more than one, and nobody stays who may not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from chat import logins, looks
from chat.database import query
from chat.models import ChatSession

MANY = 20


def signed_in(name: str) -> tuple[User, str]:
    """A user and the key of a login of theirs."""
    user = User.objects.create_user(name, password="a-long-passphrase")
    client = Client()
    client.force_login(user)
    key = client.session.session_key
    assert key is not None
    return user, key


@pytest.mark.django_db
def test_what_has_not_changed_is_not_asked_again(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """Two queries for any number of logins, once Django has accepted them."""
    people = [signed_in(f"user-{number}") for number in range(MANY)]
    accepted = logins.standing({key: None for _, key in people})
    found = [accepted[key] for _, key in people]
    assert [one and one.user_id for one in found] == [user.pk for user, _ in people]
    with django_assert_num_queries(2):
        assert logins.standing(accepted) == accepted


def _sign_out(user: User, key: str) -> None:
    Session.objects.filter(pk=key).delete()


def _expire(user: User, key: str) -> None:
    Session.objects.filter(pk=key).update(expire_date=timezone.now())


def _deactivate(user: User, key: str) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def _change_the_password(user: User, key: str) -> None:
    user.set_password("another-passphrase")
    user.save()


def _delete(user: User, key: str) -> None:
    user.delete()


def _rewrite(user: User, key: str) -> None:
    Session.objects.filter(pk=key).update(session_data=Session.objects.encode({"_auth_user_id": str(user.pk)}))


@pytest.mark.django_db
@pytest.mark.parametrize("end", [_sign_out, _expire, _deactivate, _change_the_password, _delete, _rewrite])
def test_a_login_that_has_ended_does_not_stand(end: Callable[[User, str], None]) -> None:
    """However it ended, and only that one."""
    user, key = signed_in("leaves")
    _, other = signed_in("stays")
    accepted = logins.standing({key: None, other: None})
    end(user, key)
    found = logins.standing(accepted)
    assert found[key] is None
    assert found[other] == accepted[other] is not None
    # Nor does it come back by being asked for again.
    assert logins.standing(found)[key] is None


@pytest.mark.django_db
def test_a_login_goes_on_whose_session_was_saved() -> None:
    """Django saves a session for many reasons; none of them signs anybody out."""
    user, key = signed_in("stays")
    accepted = logins.standing({key: None})
    client = Client()
    client.cookies["sessionid"] = key
    session = client.session
    session["theme"] = "dark"
    session.save()
    found = logins.standing(accepted)[key]
    assert found is not None
    assert found.user_id == user.pk
    assert found != accepted[key]


@pytest.mark.django_db(transaction=True)
async def test_those_who_look_at_once_are_answered_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by what is its own: its login, its session, and that this was deleted."""
    visits = 0
    real = query

    async def counted(*arguments: Any) -> Any:
        nonlocal visits
        visits += 1
        return await real(*arguments)

    monkeypatch.setattr(looks, "query", counted)
    people = [await real(signed_in, f"user-{number}") for number in range(MANY)]
    sessions = [
        await real(ChatSession.objects.create, public_id=f"s-{number}", owner=user, head=number)
        for number, (user, _) in enumerate(people)
    ]
    await real(sessions[3].delete)
    gone = sessions[3].pk or 0
    asked = [looks.Asked(key, session.pk or gone, None) for (_, key), session in zip(people, sessions, strict=True)]
    asked[5] = looks.Asked("no-such-login", asked[5].session_id, None)
    seen = await asyncio.gather(*(looks.current().look(one) for one in asked))
    assert visits == 1
    assert [one.head for one in seen] == [None if number == 3 else number for number in range(MANY)]
    standing = [one.standing and one.standing.user_id for one in seen]
    assert standing == [None if number == 5 else user.pk for number, (user, _) in enumerate(people)]


@pytest.mark.django_db(transaction=True)
async def test_a_database_that_fails_is_told_to_all_who_look(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next look is answered again; one that was given up harms nobody."""
    settings.HEARTBEAT_SECONDS = 0.6

    def away(*_: Any) -> Any:
        raise OperationalError("planted")

    with monkeypatch.context() as broken:
        broken.setattr(logins, "standing", away)
        given_up = asyncio.ensure_future(looks.current().look(looks.Asked("x", 1, None)))
        await asyncio.sleep(0)
        given_up.cancel()
        outcomes = await asyncio.gather(
            *(looks.current().look(looks.Asked("x", 1, None)) for _ in range(3)), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [OperationalError] * 3
    assert await looks.current().look(looks.Asked("x", 1, None)) == looks.Seen(None, None)
