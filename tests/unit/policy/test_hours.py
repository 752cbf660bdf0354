"""Working time: what passes and what does not, over nights, weekends, days off and changes of the clock."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headwater.policy.hours import Absence, Calendar, Hours

OFFICE = Hours(
    zone="Europe/Berlin",
    days={
        "mon": ("09:00-12:00", "13:00-17:00"),
        "tue": ("09:00-17:00",),
        "fri": ("22:00-24:00",),
        "sat": ("00:00-03:00",),
    },
    holidays=(dt.date(2026, 3, 10),),
)
AWAY = (Absence.model_validate({"from": "2026-03-16", "until": "2026-03-17"}),)
OFFICES = (Calendar(OFFICE), Calendar(OFFICE, AWAY), Calendar(), Calendar(None, AWAY))

BEGIN = dt.datetime(2026, 2, 20, tzinfo=dt.UTC)
moments = st.integers(0, 280 * 86_400_000).map(lambda ms: BEGIN + dt.timedelta(milliseconds=ms))
spans_s = st.floats(0.001, 400_000).map(lambda value: round(value, 3))


def at(text: str) -> dt.datetime:
    """Return a moment in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@given(st.sampled_from(OFFICES), moments, spans_s)
def test_what_passes_until_a_deadline_is_what_was_asked_for(
    calendar: Calendar, start: dt.datetime, seconds: float
) -> None:
    """The two directions agree to the microsecond, and a deadline lies at working time's end or within it."""
    end = calendar.after(start, seconds)
    assert end > start
    assert calendar.between(start, end) == pytest.approx(seconds, abs=1e-5)
    assert calendar.is_open(end - dt.timedelta(microseconds=1))


@given(st.sampled_from(OFFICES), moments, spans_s, spans_s)
def test_working_time_adds_up(calendar: Calendar, start: dt.datetime, first: float, second: float) -> None:
    """A deadline after a deadline is the deadline of both together; more time never ends sooner."""
    middle = calendar.after(start, first)
    once, twice = calendar.after(start, first + second), calendar.after(middle, second)
    assert calendar.between(start, once) == pytest.approx(calendar.between(start, twice), abs=1e-5)
    assert once >= middle


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-03-02T07:00", 1, "2026-03-02T09:00"),  # Monday before work, which begins at nine in Berlin
        ("2026-03-02T10:30", 1, "2026-03-02T12:30"),  # over lunch
        ("2026-03-09T15:00", 2, "2026-03-13T22:00"),  # Tuesday is a holiday
        ("2026-03-13T21:30", 2, "2026-03-13T23:30"),  # over midnight
        ("2026-07-06T07:00", 3, "2026-07-06T10:00"),  # summer time
    ],
)
def test_a_deadline_lies_in_working_time(start: str, hours: float, end: str) -> None:
    """Nights, lunch, weekends and holidays do not count."""
    assert Calendar(OFFICE).after(at(start), hours * 3600) == at(end)


def test_a_day_with_a_change_of_the_clock_has_its_own_length() -> None:
    """Around the clock in Berlin, the day of the change to summer time has 23 hours, the day back 25."""
    whole = Hours.model_validate({"zone": "Europe/Berlin", "days": {"sun": ["00:00-24:00"]}})
    for start, hours in (("2026-03-28T23:00", 23), ("2026-10-24T22:00", 25)):
        assert Calendar(whole).between(at(start), at(start) + dt.timedelta(days=3)) == hours * 3600


def test_days_off_are_days_in_the_zone() -> None:
    """Away begins at midnight there, and ends with the last day."""
    calendar = Calendar(OFFICE, AWAY)
    assert calendar.absence(at("2026-03-15T22:59")) is None
    assert calendar.absence(at("2026-03-15T23:00")) == AWAY[0]
    assert calendar.absence(at("2026-03-17T22:59")) == AWAY[0]
    assert calendar.absence(at("2026-03-17T23:00")) is None
    assert calendar.next_absence(at("2026-03-01T00:00")) == at("2026-03-15T23:00")
    assert calendar.next_absence(at("2026-03-16T00:00")) is None


@pytest.mark.parametrize(
    "days",
    [{}, {"mon": []}, {"mon": ["9-17"]}, {"mon": ["17:00-09:00"]}, {"mon": ["09:00-12:00", "11:00-13:00"]}],
)
def test_hours_that_make_no_sense_are_refused(days: dict[str, list[str]]) -> None:
    """No time at all, another form, backwards, overlapping."""
    with pytest.raises(ValidationError):
        Hours.model_validate({"days": days})
