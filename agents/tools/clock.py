"""The current date and time in any zone of the IANA time zone database."""

from __future__ import annotations

import difflib
import functools
import zoneinfo
from datetime import UTC, datetime

from langchain_core.tools import ToolException, tool

_SUGGESTIONS = 5


class UnknownZone(ToolException):
    """No time zone has that name; the message offers the nearest ones."""


@functools.cache
def _zone_names() -> dict[str, str]:
    return {name.casefold(): name for name in zoneinfo.available_timezones()}


@functools.cache
def _cities() -> dict[str, list[str]]:
    cities: dict[str, list[str]] = {}
    for folded, name in sorted(_zone_names().items()):
        # "posix/" and "right/" repeat every zone of some systems' databases.
        if "/" in folded and not folded.startswith(("posix/", "right/", "etc/")):
            cities.setdefault(folded.rpartition("/")[2], []).append(name)
    return cities


def zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone of an IANA name, in any case and with spaces for underscores; raises UnknownZone."""
    folded = "_".join(name.split()).casefold()
    known = _zone_names().get(folded)
    if known is None:
        raise UnknownZone(_unknown(name, folded))
    return zoneinfo.ZoneInfo(known)


def _unknown(name: str, folded: str) -> str:
    city = folded.rpartition("/")[2]
    near = list(_cities().get(city, []))
    for close in difflib.get_close_matches(city, _cities(), n=_SUGGESTIONS, cutoff=0.75):
        near.extend(_cities()[close])
    hint = "Use an IANA name such as Europe/Berlin, America/New_York or UTC."
    if near:
        hint = f"Did you mean {' or '.join(list(dict.fromkeys(near))[:_SUGGESTIONS])}?"
    return f"There is no time zone “{name[:60]}”. {hint}"


def described(moment: datetime) -> str:
    """One line with weekday, date, time, zone and the ISO 8601 form, for example
    `Sunday, 1 March 2026, 09:05:07 in Europe/Berlin (CET, UTC+01:00); 2026-03-01T09:05:07+01:00`.
    """
    day = f"{moment:%A}, {moment.day} {moment:%B %Y}"
    offset = f"{moment:%z}"
    return (
        f"{day}, {moment:%H:%M:%S} in {moment.tzinfo} ({moment.tzname()}, UTC{offset[:3]}:{offset[3:5]}); "
        f"{moment.isoformat(timespec='seconds')}"
    )


@tool
async def current_time(timezone: str = "UTC") -> str:
    """Tell the current date, time and weekday in a time zone.

    Give the IANA name of the zone, for example Europe/Berlin, America/New_York or UTC.
    """
    return described(datetime.now(UTC).astimezone(zone(timezone)))
