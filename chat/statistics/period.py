"""A stretch of time in steps of an hour or a day, in the site's time zone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from django.utils import timezone

# So many days are shown by the hour, if somebody asks for them by their dates.
DAYS_BY_HOUR = 2


class Unit(StrEnum):
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` to just before `end`, both at the beginning of a unit."""

    start: datetime
    end: datetime
    unit: Unit

    def moments(self) -> Iterator[tuple[datetime, datetime]]:
        """The beginning and the end of each unit, in order."""
        if self.unit is Unit.HOUR:
            moment = self.start
            while moment < self.end:
                yield moment, moment + timedelta(hours=1)
                moment += timedelta(hours=1)
        else:
            # By dates: a day has 23 or 25 hours where the clocks change.
            day = self.start.date()
            while midnight(day) < self.end:
                yield midnight(day), midnight(day + timedelta(days=1))
                day += timedelta(days=1)


def midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def last_hours(hours: int) -> Period:
    """So many hours until now, the one that has begun included."""
    end = timezone.localtime().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return Period(end - timedelta(hours=hours), end, Unit.HOUR)


def last_days(days: int) -> Period:
    """So many days until now, today included."""
    today = timezone.localdate()
    return Period(midnight(today - timedelta(days=days - 1)), midnight(today + timedelta(days=1)), Unit.DAY)


def between(first: date, last: date) -> Period:
    """Both days and all between them."""
    unit = Unit.HOUR if (last - first).days < DAYS_BY_HOUR else Unit.DAY
    return Period(midnight(first), midnight(last + timedelta(days=1)), unit)
