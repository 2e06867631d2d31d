"""The dashboard tells the numbers of the runs that one may read, leads to them, and says what it cannot read in its address."""

from __future__ import annotations

import html
import json
import random
import re
from collections import Counter
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chat import tool_counts
from chat.models import ChatSession, Event, Feedback, Run, RunState
from tests.site import random_runs
from tests.site.rows import client_of, make_session

ADDRESS = "/admin/dashboard/"
OWN = set(
    "div form label select option input datalist ul li a p h2 h3 dl dt dd span nav section canvas button table caption thead tbody"
    " tr th td".split()
)
CORPUS = [one["text"] for one in json.loads((Path(__file__).parents[1] / "xss.json").read_text(encoding="utf-8"))]


@pytest.fixture
def client(superuser: User) -> Client:
    return client_of(superuser)


def tile(page: str, title: str) -> list[str]:
    """The numbers of a tile."""
    found = re.search(rf"<dt>{re.escape(title)}</dt>(.*?)</div>", page, re.DOTALL)
    assert found, title
    return [
        html.unescape(re.sub(r"<[^>]+>", "", number)).strip()
        for number in re.findall(r'class="dashboard-number">(.*?)</span>', found[1], re.DOTALL)
    ]


def links(page: str) -> list[str]:
    return [html.unescape(address) for address in re.findall(r'href="([^"]+)"', page.partition('id="dashboard"')[2])]


def test_a_site_without_runs_says_so(client: Client) -> None:
    page = client.get(ADDRESS)
    assert page.status_code == 200
    assert "No run was asked for in this time." in page.text
    assert "<canvas" not in page.text
    filtered = client.get(ADDRESS, {"agent": "assistant"}).text
    assert "that fits these filters" in filtered


def test_it_tells_the_numbers_and_where_they_come_from(client: Client, owner: User) -> None:
    for number in range(3):
        make_session(owner, f"s{number}")
    Run.objects.filter(session__public_id="s0").update(state=RunState.FAILED, input_tokens=1234)
    tool_counts.rebuild()
    page = client.get(ADDRESS).text
    assert tile(page, "Runs and failures") == ["3", "1"]
    assert tile(page, "Failure rate") == ["33.3 %", "0.0 %"]
    assert tile(page, "Tokens") == ["1,234", "0"]
    assert tile(page, "Tool calls and errors") == ["3", "0"]
    assert tile(page, "Cost") == ["–"]
    assert "UTC" in page
    # The index leads here.
    assert f'href="{ADDRESS}">Dashboard' in client.get("/admin/").text


@pytest.mark.parametrize("by", ["agent", "model", "tool", "user"])
@pytest.mark.parametrize("span", ["24h", "7d", "30d", "90d"])
def test_each_plot_is_a_table_with_a_caption_and_heads(client: Client, owner: User, by: str, span: str) -> None:
    make_session(owner)
    tool_counts.rebuild()
    page = client.get(ADDRESS, {"range": span, "by": by})
    assert page.status_code == 200
    tables = re.findall(r"<table>.*?</table>", page.text.partition('id="dashboard"')[2], re.DOTALL)
    assert len(tables) == 18
    units = {"24h": 24, "7d": 7, "30d": 30, "90d": 90}[span]
    for number, table in enumerate(tables):
        over = ("hour" if span == "24h" else "day") if number < 9 else by
        assert re.search(rf"<caption>[\w ]+ by {over}</caption>", table)
        assert f'<th scope="col">{over.capitalize()}</th>' in table
        assert table.count('<th scope="row">') == (units if number < 9 else 1)
    name = {"agent": "researcher", "model": "demo", "tool": "calculator", "user": "owner"}[by]
    assert re.search(rf'<th scope="row"><a href="[^"]+">{name}</a></th>', tables[-1])


@pytest.mark.parametrize("by", ["agent", "model", "tool", "user"])
def test_a_number_leads_to_its_runs(client: Client, owner: User, other: User, by: str) -> None:
    """Whatever a table counts, its number is that of the runs in the list that it links to."""
    for number, state in enumerate([RunState.FAILED, RunState.FAILED, RunState.COMPLETED, RunState.COMPLETED]):
        session = make_session((owner, other)[number % 2], f"s{number}", tool=f"tool&{number // 2}")
        asked = timezone.now() - timedelta(days=number // 2)
        session.runs.update(state=state, agent=f"agent={number % 2}", created_at=asked)
        Feedback.objects.create(run=session.runs.get(), thumb=Feedback.UP if number else Feedback.DOWN)
    # At the very end of a day, and of a session whose run has no model.
    edge = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    make_session(other, "edge").runs.update(created_at=edge, model="")
    run = Run.objects.get(session__public_id="s0")
    Event.objects.create(
        session=run.session,
        run=run,
        seq=4,
        type="step",
        step=2,
        step_type="tool_result",
        tool_name="tool&0",
        data={"is_error": True},
        created_at=timezone.now(),
    )
    tool_counts.rebuild()
    page = client.get(ADDRESS, {"by": by})
    followed: Counter[int] = Counter()
    for row in re.findall(r"<tr>.*?</tr>", page.text, re.DOTALL):
        for value, address in re.findall(r'<td data-value="(\d+)"><a href="([^"]+)"', row):
            answer = client.get(html.unescape(address))
            # Django sends a list with a filter that it does not know elsewhere.
            assert answer.status_code == 200, address
            listed = answer.context["cl"].result_count
            if "failed_tools" in address:
                assert listed == 1
            else:
                assert listed == int(value), address
            followed[len(parse_qs(urlsplit(html.unescape(address)).query))] += 1
    # By time, by group, and both with one more filter.
    assert followed.keys() == {2, 3, 4}
    assert sum(followed.values()) >= 12


def test_filters_in_the_address_narrow_the_numbers(client: Client, owner: User, other: User) -> None:
    make_session(owner, "s1", tool="clock").runs.update(agent="writer", model="m1")
    make_session(other, "s2", tool="hammer").runs.update(agent="analyst", model="m2")
    tool_counts.rebuild()
    for query in ({"agent": "writer"}, {"model": "m1"}, {"tool": "clock"}, {"user": "owner"}):
        page = client.get(ADDRESS, query).text
        assert tile(page, "Runs and failures") == ["1", "0"], query
        assert f'value="{next(iter(query.values()))}"' in page
    assert tile(client.get(ADDRESS).text, "Runs and failures") == ["2", "0"]
    # A name in a table leads to the dashboard of it alone, all else as it was.
    page = client.get(ADDRESS, {"by": "user", "range": "30d"}).text
    narrower = [address for address in links(page) if address.startswith(ADDRESS) and "user=other" in address]
    assert narrower
    assert tile(client.get(narrower[0]).text, "Runs and failures") == ["1", "0"]
    assert "range=30d" in narrower[0]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"range": "nonsense"}, "Select a valid choice"),
        ({"by": "password"}, "Select a valid choice"),
        ({"range": "custom"}, "Say from which day on."),
        ({"range": "custom", "start": "2026-13-45"}, "Enter a valid date"),
        ({"range": "custom", "start": "2026-03-02", "end": "2026-03-01"}, "This day is before the first."),
        ({"range": "custom", "start": "0001-01-01", "end": "0001-01-02"}, "can be shown"),
        ({"range": "custom", "start": "2026-01-01", "end": "9999-12-31"}, "can be shown"),
        ({"range": "custom", "start": "2020-01-01", "end": "2026-01-01"}, "No more than 366 days"),
        ({"user": "nobody"}, "Nobody of this name has a session that you may read."),
        ({"agent": "a\0b"}, "Null characters are not allowed"),
        ({"tool": "x" * 200}, "at most 128 characters"),
    ],
)
def test_what_cannot_be_read_is_said_beside_its_field(
    client: Client, owner: User, query: dict[str, str], said: str
) -> None:
    make_session(owner)
    page = client.get(ADDRESS, query)
    assert page.status_code == 400
    assert said in page.text
    assert 'role="alert"' in page.text
    assert "dashboard-tile" not in page.text


def test_days_of_ones_own_choice(client: Client, owner: User) -> None:
    make_session(owner).runs.update(created_at=timezone.now() - timedelta(days=40))
    day = f"{timezone.localdate() - timedelta(days=40):%Y-%m-%d}"
    page = client.get(ADDRESS, {"range": "custom", "start": day, "end": day}).text
    assert tile(page, "Runs and failures") == ["1", "0"]
    assert "by hour</caption>" in page
    assert "No run was asked for" in client.get(ADDRESS, {"range": "30d"}).text


def test_viewers_are_told_nothing_of_private_sessions(staff: User, owner: User, client: Client) -> None:
    """Neither in a sum nor as a name; those who may read them are told of all."""
    make_session(owner, "open", tool="clock")
    make_session(User.objects.create_user("secret-user"), "private", tool="secret-tool")
    ChatSession.objects.filter(public_id="private").update(is_private=True)
    Run.objects.filter(session__public_id="private").update(agent="secret-agent", model="secret-model")
    tool_counts.rebuild()
    staff.user_permissions.set(Permission.objects.filter(codename__in=["view_chatsession", "view_run"]))
    for by in ("agent", "model", "tool", "user"):
        page = client_of(staff).get(ADDRESS, {"by": by})
        assert tile(page.text, "Runs and failures") == ["1", "0"]
        assert "secret" not in page.text
        assert f"secret-{by}" in client.get(ADDRESS, {"by": by}).text
    # Who may see runs but no session sees none.
    staff.user_permissions.set(Permission.objects.filter(codename="view_run"))
    assert "No run was asked for" in client_of(staff).get(ADDRESS).text


def test_the_page_asks_the_database_as_often_for_many_runs_as_for_few(client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(ADDRESS, {"by": "user", "range": "30d"}).status_code == 200
        return len(captured)

    random_runs.fill(random.Random(1), count=4)
    few = queries()
    random_runs.fill(random.Random(2), count=40)
    assert queries() == few


def test_hostile_names_are_text(client: Client) -> None:
    for number, text in enumerate(CORPUS):
        name = text.replace("\0", "")
        session = make_session(User.objects.create(username=f"{number} {name}"[:150]), f"s{number}", tool=name[:100])
        session.runs.update(agent=name[:64], model=name[:128])
    tool_counts.rebuild()
    for query in ({"by": by} for by in ("agent", "model", "tool", "user")):
        page = client.get(ADDRESS, query).text
        assert "&lt;script&gt;" in page
        assert_own_markup(page)
    assert_own_markup(
        client.get(ADDRESS, dict.fromkeys(("agent", "model", "tool"), '"><script>alert(1)</script>')).text
    )


def assert_own_markup(page: str) -> None:
    """Between the form and the end of the last plot stand only elements of the templates, and no handlers."""
    inside = re.search(r'<div class="dashboard" id="dashboard">.*(?=</section>|</form>)', page, re.DOTALL)
    assert inside
    reader = Reader()
    reader.feed(inside[0])
    assert reader.tags <= OWN, reader.tags - OWN
    assert not [name for name in reader.attributes if name.startswith("on") or name in ("style", "srcdoc")]
    assert all(address.startswith(("/admin/", "?", "#")) for address in reader.addresses)


class Reader(HTMLParser):
    """What a page has of elements, attributes and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= dict(attrs).keys()
        self.addresses |= {value or "" for name, value in attrs if name in ("href", "src", "action")}
