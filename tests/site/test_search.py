"""The search of the lists finds what was said, and nothing that the viewer may not see.

Runs on PostgreSQL as well: `test_lists_on_postgresql.py`.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from chat.models import ChatSession, Reading
from tests.site.lists import LISTS, count_of, found, page, step
from tests.site.rows import make_session


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "words",
    [
        "lighthouse",
        "LIGHTHOUSE",
        "old lighthouse",
        "lighthouse keeper",
        '"lighthouse keeper"',
        "lighthouse -ship",
        "Zürich",
    ],
)
def test_a_search_finds_a_step_by_its_words(
    name: str, words: str, admin_client: Client, owner: User, other: User
) -> None:
    step(make_session(owner, "wanted"), "The old lighthouse keeper went to Zürich.")
    elsewhere = make_session(other, "unwanted")
    step(elsewhere, "The old ship.")
    step(elsewhere, "A keeper.")
    assert found(admin_client, name, q=words) == {"wanted"}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "words", ["lighthouse ship", '"keeper lighthouse"', "lighthouse -keeper", "nothing", "%", "'", '"']
)
def test_a_search_finds_no_step_that_lacks_a_word(name: str, words: str, admin_client: Client, owner: User) -> None:
    session = make_session(owner)
    step(session, "The lighthouse keeper.")
    step(session, "A ship.")
    assert found(admin_client, name, q=words) == set()


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("words", ["Reykjavík", "breakfast", "calculatrix"])
def test_a_search_finds_a_tool_and_its_arguments(
    name: str, words: str, admin_client: Client, owner: User, other: User
) -> None:
    session = make_session(owner, "wanted")
    arguments = {"place": {"city": "Reykjavík"}, "notes": ["first line\nbreakfast"]}
    step(session, "", step_type="tool_use", tool_name="calculatrix", data={"arguments": arguments})
    make_session(other, "unwanted")
    assert found(admin_client, name, q=words) == {"wanted"}


@pytest.mark.parametrize("name", ["chatsession", "run"])
@pytest.mark.parametrize("words", ["harbour", "wanted-1", "harbour owner", "run id"])
def test_sessions_and_runs_are_found_by_title_id_and_user(
    name: str, words: str, admin_client: Client, owner: User, other: User
) -> None:
    session = make_session(owner, "wanted-1")
    ChatSession.objects.filter(pk=session.pk).update(title="The harbour")
    make_session(other, "another")
    query = str(session.runs.get().pk) if words == "run id" else words
    assert found(admin_client, name, q=query) == {"wanted-1"}


def test_events_are_found_by_the_id_of_their_run_or_session(admin_client: Client, owner: User, other: User) -> None:
    session = make_session(owner, "wanted-1")
    make_session(other, "another")
    for words in (str(session.runs.get().pk), "wanted-1"):
        assert found(admin_client, "event", q=words) == {"wanted-1"}
        assert count_of(admin_client, "event", q=words) == "3 events"


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("bound", ["MANY", "ENOUGH"])
def test_a_search_for_what_is_nearly_everywhere_finds_it(
    name: str, bound: str, admin_client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events than are looked up first: those that have the words are found one by one, with the same outcome."""
    monkeypatch.setattr(f"chat.finding.{bound}", 3)
    for number in range(6):
        session = make_session(owner, f"s{number}", text="hay")
        step(session, "everywhere and more" if number else "nowhere")
    assert found(admin_client, name, q="everywhere") == {f"s{number}" for number in range(1, 6)}
    assert found(admin_client, name, q="everywhere", user="somebody") == set()
    assert count_of(admin_client, name, q="everywhere").startswith("5 ")


@pytest.mark.parametrize("name", LISTS)
def test_a_step_is_recorded_and_found_whatever_is_in_it(name: str, admin_client: Client, owner: User) -> None:
    """However long and however strange: what is too much to be searched is not, and nothing else suffers."""
    session = make_session(owner)
    # Letters of four bytes each, in words of which every part is a word as well, and none comes twice.
    words = [chr(0x20000 + number) + chr(0x20000 + number * 7 % 40_000) for number in range(40_000)]
    parts = [words[at : at + 150] for at in range(0, len(words), 150)]
    worst = " ".join("-".join(part) for part in parts)
    step(session, "beginning " + worst, data={"arguments": {"x": worst}})
    step(session, "megabytes " + "of it " * 1_000_000)
    step(session, "a" * 3000 + " after", tool_name="t" * 128)
    for query in ("beginning", "megabytes", "after"):
        assert found(admin_client, name, q=query) == {"s1"}


@pytest.mark.parametrize("name", LISTS)
def test_what_is_private_is_in_no_list_search_or_count_of_a_viewer(
    name: str, viewer: Client, admin_client: Client, owner: User, staff: User
) -> None:
    """A search that finds a private session answers as one that finds nothing."""
    private = make_session(owner, "hushed", text="secretword")
    mine = make_session(staff, "mine", text="ownword")
    ChatSession.objects.filter(pk__in=[private.pk, mine.pk]).update(is_private=True)
    make_session(owner, "open")
    assert found(viewer, name) == {"open", "mine"}
    assert found(admin_client, name) == {"open", "mine", "hushed"}
    assert count_of(viewer, name).startswith("6" if name == "event" else "2")
    run = private.runs.get()
    for words in ("secretword", "hushed", str(run.pk)):
        assert found(admin_client, name, q=words) == {"hushed"}
        hit, miss = page(viewer, name, q=words), page(viewer, name, q="nonesuch")
        assert without_address(hit, words) == without_address(miss, "nonesuch")
    for query in ({"private": "yes"}, {"session__id__exact": str(private.pk)}, {"q": "ownword"}):
        if name != "chatsession" or "session__id__exact" not in query:
            assert "hushed" not in found(viewer, name, **query)
    # A word that happens to be the id of a private session is a word like any other.
    step(ChatSession.objects.get(public_id="open"), "hushed voices")
    assert found(viewer, name, q="hushed") == {"open"}
    rows: dict[str, Any] = {"chatsession": private, "run": run, "event": run.events.first()}
    answer = viewer.get(reverse(f"admin:chat_{name}_change", args=[rows[name].pk]))
    assert answer.status_code == 302


def without_address(text: str, words: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", text).replace(words, "")


@pytest.mark.parametrize("name", ["run", "event"])
def test_whoever_opens_a_row_of_anothers_is_recorded(
    name: str, admin_client: Client, owner: User, admin_user: User
) -> None:
    session, own = make_session(owner), make_session(admin_user, "own")
    for one in (session, own):
        row = one.runs.get() if name == "run" else one.events.get(seq=2)
        assert admin_client.get(reverse(f"admin:chat_{name}_change", args=[row.pk])).status_code == 200
    reading = Reading.objects.get()
    assert (reading.reader, reading.session, reading.run_id) == (admin_user, session, session.runs.get().pk)
