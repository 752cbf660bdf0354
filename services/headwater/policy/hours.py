"""Working hours and days off: when somebody is there, and how long something took while they were. Pure.

Times of day are those of a zone, so that a day with a change of the clock has 23 or 25 hours; what is asked and
answered are moments in UTC. Whoever has no hours is there around the clock, save for days off.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from headwater.policy.words import Name, Part

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS_MAX: Final = 400
"""Days that are looked ahead for working time; a deadline that lies farther away lies there."""
_SPAN: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_MIDNIGHT: Final = 24 * 60
_DAY: Final = dt.timedelta(days=1)
Span = tuple[dt.datetime, dt.datetime]
"""Beginning and end, in UTC."""


@lru_cache(256)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _minutes(text: str) -> tuple[int, int]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} must be a span of a day, as 09:00-17:30")
    begin_hour, begin_minute, end_hour, end_minute = map(int, found.groups())
    begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
    if not begin < end <= _MIDNIGHT:
        raise ValueError(f"{text!r} must end after it begins, at 24:00 at the latest")
    return begin, end


class Hours(Part):
    """When people who have these hours work."""

    zone: str = "UTC"
    """Time zone by its IANA name, as Europe/Berlin."""
    days: Annotated[dict[Weekday, tuple[str, ...]], Field(min_length=1)]
    """Day of the week to its spans, as `mon: ["09:00-12:00", "13:00-17:30"]`; days not named are free."""
    holidays: Annotated[tuple[dt.date, ...], Field(max_length=1000)] = ()
    """Days on which nobody works."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, given: str) -> str:
        """Refuse a zone that nobody knows."""
        try:
            _zone(given)
        except (ValueError, OSError, LookupError) as error:
            raise ValueError(f"{given!r} must be a time zone by its IANA name, as Europe/Berlin") from error
        return given

    @field_validator("days")
    @classmethod
    def _in_order(cls, given: dict[Weekday, tuple[str, ...]]) -> dict[Weekday, tuple[str, ...]]:
        """Refuse spans that are none, overlap, or leave no time at all."""
        for day, spans in given.items():
            read = [_minutes(text) for text in spans]
            if any(later[0] < earlier[1] for earlier, later in pairwise(read)):
                raise ValueError(f"{day}: spans must follow one another without overlap")
        if not any(given.values()):
            raise ValueError("must have a span on one day at least")
        return given

    @cached_property
    def minutes(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The spans of each day of the week, Monday first, in minutes from midnight."""
        return tuple(tuple(_minutes(text) for text in self.days.get(day, ())) for day in WEEKDAYS)

    @cached_property
    def free_days(self) -> frozenset[dt.date]:
        """The holidays, to look up."""
        return frozenset(self.holidays)


class Absence(Part):
    """Days on which somebody is away."""

    first: Annotated[dt.date, Field(alias="from")]
    last: Annotated[dt.date, Field(alias="until")]
    """The last day away."""
    cover: Name | None = None
    """Who takes the turns meanwhile; None: nobody, the turn goes to the next one."""

    @model_validator(mode="after")
    def _not_backwards(self) -> Self:
        """Refuse days that end before they begin."""
        if self.last < self.first:
            raise ValueError(f"until {self.last} lies before from {self.first}")
        return self


class Calendar:
    """When one person, or a team, works: hours without the days away."""

    def __init__(self, hours: Hours | None = None, away: tuple[Absence, ...] = ()) -> None:
        self._hours = hours
        self._zone = _zone(hours.zone if hours else "UTC")
        self._away = away

    def day_of(self, moment: dt.datetime) -> dt.date:
        """Return the day that *moment* is in the zone."""
        return moment.astimezone(self._zone).date()

    def absence(self, moment: dt.datetime) -> Absence | None:
        """Return the days away in which *moment* lies; None when there are none."""
        day = self.day_of(moment) if self._away else dt.date.min
        return next((item for item in self._away if item.first <= day <= item.last), None)

    def next_absence(self, moment: dt.datetime) -> dt.datetime | None:
        """Return when the next days away begin after *moment*; None when none are known."""
        day = self.day_of(moment) if self._away else dt.date.min
        coming = [item.first for item in self._away if item.first > day]
        return self._at(min(coming), 0) if coming else None

    def is_open(self, moment: dt.datetime) -> bool:
        """Tell whether *moment* is working time."""
        return any(begin <= moment < end for begin, end in self._spans(self.day_of(moment)))

    def after(self, start: dt.datetime, seconds: float) -> dt.datetime:
        """Return when *seconds* of working time have passed since *start*."""
        left = dt.timedelta(seconds=seconds)
        for begin, end in self._from(start):
            taken = min(left, end - begin)
            left -= taken
            if left <= dt.timedelta():
                return begin + taken
        return start + _DAY * DAYS_MAX

    def between(self, start: dt.datetime, end: dt.datetime) -> float:
        """Return the seconds of working time from *start* to *end*; 0 where that lies before it."""
        total = dt.timedelta()
        for begin, until in self._from(start):
            if begin >= end:
                break
            total += min(until, end) - begin
        return total.total_seconds()

    def _from(self, start: dt.datetime) -> Iterator[Span]:
        """Yield the spans from *start* on, what lies before it cut off."""
        day = self.day_of(start)
        for number in range(DAYS_MAX):
            for begin, end in self._spans(day + _DAY * number):
                if end > start:
                    yield max(begin, start), end

    def _spans(self, day: dt.date) -> Iterator[Span]:
        if any(item.first <= day <= item.last for item in self._away):
            return
        if self._hours is None:
            yield self._at(day, 0), self._at(day, _MIDNIGHT)
            return
        if day in self._hours.free_days:
            return
        for first, last in self._hours.minutes[day.weekday()]:
            begin, end = self._at(day, first), self._at(day, last)
            if begin < end:  # a span that the clock leaps over is none
                yield begin, end

    def _at(self, day: dt.date, minutes: int) -> dt.datetime:
        if minutes == _MIDNIGHT:
            day, minutes = day + _DAY, 0
        time = dt.time(minutes // 60, minutes % 60)
        return dt.datetime.combine(day, time, tzinfo=self._zone).astimezone(dt.UTC)
