"""When an account may be written to, by its schedules, and when that changes next. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from headwater.policy.writing import WEEKDAYS, Schedule, WeekTime, moment_of

DAYS_AHEAD: Final = 8
"""Days that are looked through at once: a week has every time of it."""
LOOKS_MAX: Final = 64
"""How often further days are looked through before the answer is left to a later look."""

Schedules = Sequence[tuple[str, Schedule]]
"""Name and schedule of all that concern an account."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an account may be written to.

    Args:
        closed_by: what closes it, for people; empty while it is open.
        until: when that may be otherwise.
    """

    closed_by: str
    until: dt.datetime

    @property
    def is_open(self) -> bool:
        """Whether it may be written."""
        return not self.closed_by


def standing_of(schedules: Schedules, now: dt.datetime) -> Standing:
    """Return how an account stands at *now*, and until when: every schedule has to be open."""
    found = closed_by(schedules, now)
    moment = now
    for _ in range(LOOKS_MAX):
        horizon = moment + dt.timedelta(days=DAYS_AHEAD)
        for change in sorted({item for item in _changes(schedules, moment) if moment < item <= horizon}):
            if bool(closed_by(schedules, change)) != bool(found):
                return Standing(found, change)
        moment = horizon
    return Standing(found, moment)


def closed_by(schedules: Schedules, moment: dt.datetime) -> str:
    """Return what closes an account at *moment*; empty while it is open."""
    for name, item in schedules:
        if reason := _closed_by_one(item, moment):
            return f"schedule {name}: {reason}"
    return ""


def _closed_by_one(item: Schedule, moment: dt.datetime) -> str:
    for freeze in item.freezes:
        begin, end = _utc(freeze.begin, item), _utc(freeze.end, item, is_end=True)
        if begin <= moment < end:
            return f"frozen until {freeze.end}{': ' if freeze.reason else ''}{freeze.reason}"
    local = moment.astimezone(_zone(item.time_zone))
    for blackout in item.blackouts:
        if _covers(blackout, local):
            return f"blackout from {blackout.begin} to {blackout.end} {item.time_zone}"
    if item.open and not any(_covers(window, local) for window in item.open):
        return "outside its windows"
    return ""


def _covers(window: WeekTime, local: dt.datetime) -> bool:
    clock, day = local.strftime("%H:%M"), local.weekday()
    today, yesterday = WEEKDAYS[day], WEEKDAYS[day - 1]
    if window.begin < window.end:
        return today in window.days and window.begin <= clock < window.end
    return (today in window.days and clock >= window.begin) or (
        yesterday in window.days and clock < window.end
    )


def _changes(schedules: Schedules, moment: dt.datetime) -> Iterator[dt.datetime]:
    """Yield when something may change in the days around *moment*, and at every freeze."""
    for _, item in schedules:
        zone = _zone(item.time_zone)
        for freeze in item.freezes:
            yield _utc(freeze.begin, item)
            yield _utc(freeze.end, item, is_end=True)
        first = moment.astimezone(zone).date()
        clocks = {clock for window in (*item.open, *item.blackouts) for clock in (window.begin, window.end)}
        for number in range(DAYS_AHEAD + 1):
            midnight = dt.datetime.combine(first + dt.timedelta(days=number), dt.time())
            for clock in clocks:
                hours, minutes = clock.split(":")
                local = midnight + dt.timedelta(hours=int(hours), minutes=int(minutes))
                yield local.replace(tzinfo=zone).astimezone(dt.UTC)


def _utc(text: str, item: Schedule, *, is_end: bool = False) -> dt.datetime:
    return moment_of(text, is_end=is_end).replace(tzinfo=_zone(item.time_zone)).astimezone(dt.UTC)


@lru_cache(64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
