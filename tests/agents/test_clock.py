"""The clock: any zone of the IANA database, by a name people can get slightly wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from agents.tools.clock import UnknownZone, current_time, described, zone


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "Europe/Berlin",
            "Sunday, 1 March 2026, 09:05:07 in Europe/Berlin (CET, UTC+01:00); 2026-03-01T09:05:07+01:00",
        ),
        ("UTC", "Sunday, 1 March 2026, 08:05:07 in UTC (UTC, UTC+00:00); 2026-03-01T08:05:07+00:00"),
        (
            "Asia/Kolkata",
            "Sunday, 1 March 2026, 13:35:07 in Asia/Kolkata (IST, UTC+05:30); 2026-03-01T13:35:07+05:30",
        ),
        (
            "Pacific/Pago_Pago",
            "Saturday, 28 February 2026, 21:05:07 in Pacific/Pago_Pago (SST, UTC-11:00); 2026-02-28T21:05:07-11:00",
        ),
    ],
)
def test_a_moment_is_described_in_its_zone(name: str, line: str) -> None:
    assert described(datetime(2026, 3, 1, 8, 5, 7, tzinfo=UTC).astimezone(zone(name))) == line


async def test_it_is_now_in_utc_unless_a_zone_is_named() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    said = await current_time.ainvoke({})
    after = datetime.now(UTC)
    found = re.search(r"; (\S+)$", said)
    assert found
    assert before <= datetime.fromisoformat(found[1]) <= after


@pytest.mark.parametrize("name", ["europe/berlin", "EUROPE/BERLIN", " Europe/Berlin "])
def test_case_and_blanks_do_not_matter(name: str) -> None:
    assert str(zone(name)) == "Europe/Berlin"
    assert str(zone("america/new york")) == "America/New_York"


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("Europe/Berlim", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("US/New York", "America/New_York"),
        ("Asia/Tokio", "Asia/Tokyo"),
        ("gibberish", "Use an IANA name such as Europe/Berlin"),
        ("", "Use an IANA name"),
        ("Europe", "Use an IANA name"),
        ("../../etc/passwd", "Use an IANA name"),
        ("/etc/localtime", "There is no time zone"),
        ("x" * 10_000, "Use an IANA name"),
    ],
)
async def test_an_unknown_zone_is_answered_with_what_to_do(name: str, offered: str) -> None:
    with pytest.raises(UnknownZone, match=re.escape(offered)) as error:
        await current_time.ainvoke({"timezone": name})
    assert len(str(error.value)) < 400
