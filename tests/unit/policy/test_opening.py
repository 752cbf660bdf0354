"""When an account may be written: windows, blackouts and freezes in their time zone, and the next change."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headwater.policy.opening import closed_by, standing_of
from headwater.policy.writing import WEEKDAYS, Schedule

MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def schedules(**part: Any) -> list[tuple[str, Schedule]]:
    """Return one schedule, `hours`."""
    return [("hours", Schedule.model_validate(part))]


def at(day: int, clock: str) -> dt.datetime:
    """Return a moment of the week of MONDAY."""
    hours, minutes = clock.split(":")
    return MONDAY + dt.timedelta(days=day, hours=int(hours), minutes=int(minutes))


OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00"}


@pytest.mark.parametrize(
    ("now", "is_open", "until"),
    [
        (at(0, "07:59"), False, at(0, "08:00")),
        (at(0, "08:00"), True, at(0, "18:00")),
        (at(0, "18:00"), False, at(1, "08:00")),
        (at(4, "18:00"), False, at(7, "08:00")),
        (at(6, "12:00"), False, at(7, "08:00")),
    ],
)
def test_windows_open_and_close(*, now: dt.datetime, is_open: bool, until: dt.datetime) -> None:
    """Open from their beginning to their end, which is no part of them; over the weekend closed till Monday."""
    found = standing_of(schedules(open=[OFFICE]), now)
    assert (found.is_open, found.until) == (is_open, until)


def test_a_window_goes_by_its_time_zone_also_when_clocks_change() -> None:
    """Eight in Berlin is seven UTC in winter and six in summer."""
    hours = schedules(time_zone="Europe/Berlin", open=[{"from": "08:00", "to": "18:00"}])
    winter, summer = dt.datetime(2026, 3, 28, 0, tzinfo=dt.UTC), dt.datetime(2026, 3, 29, 20, tzinfo=dt.UTC)
    assert standing_of(hours, winter).until.hour == 7
    assert standing_of(hours, summer).until == dt.datetime(2026, 3, 30, 6, tzinfo=dt.UTC)


def test_a_time_of_the_week_may_go_past_midnight() -> None:
    """A blackout of Friday night holds on Saturday morning."""
    night = schedules(blackouts=[{"days": ["fri"], "from": "22:00", "to": "06:00"}])
    assert [closed_by(night, at(4, clock)) == "" for clock in ("05:00", "21:59", "22:00")] == [
        True,
        True,
        False,
    ]
    assert [closed_by(night, at(5, clock)) == "" for clock in ("05:59", "06:00", "22:00")] == [
        False,
        True,
        True,
    ]


def test_a_freeze_holds_for_whole_days_and_says_why() -> None:
    """The last day counts whole; what comes after it opens by the other parts."""
    frozen = schedules(
        open=[OFFICE], freezes=[{"from": "2026-03-03", "to": "2026-03-07", "reason": "quarter end"}]
    )
    found = standing_of(frozen, at(1, "09:00"))
    assert found.closed_by == "schedule hours: frozen until 2026-03-07: quarter end"
    assert found.until == at(7, "08:00")


def test_a_freeze_of_a_year_is_seen_to_its_end() -> None:
    """However long it is."""
    frozen = schedules(freezes=[{"from": "2026-01-01", "to": "2026-12-31T12:00"}])
    assert standing_of(frozen, MONDAY).until == dt.datetime(2026, 12, 31, 12, tzinfo=dt.UTC)


def test_every_schedule_has_to_be_open() -> None:
    """Two schedules of an account: closed while one of them is."""
    both = [*schedules(open=[OFFICE]), ("late", Schedule.model_validate({"open": [{"from": "16:00"}]}))]
    assert standing_of(both, at(0, "09:00")).until == at(0, "16:00")
    assert standing_of(both, at(0, "17:00")).until == at(0, "18:00")


@pytest.mark.parametrize(
    "part",
    [
        {"time_zone": "Europe/Atlantis"},
        {"open": [{"from": "8:00"}]},
        {"open": [{"from": "08:00", "to": "08:00"}]},
        {"freezes": [{"from": "2026-02-30", "to": "2026-03-01"}]},
        {"freezes": [{"from": "2026-03-02", "to": "2026-03-01"}]},
    ],
)
def test_what_is_no_time_is_refused(part: dict[str, Any]) -> None:
    """Unknown zones, clock times, days, and what ends before it begins."""
    with pytest.raises(ValidationError):
        Schedule.model_validate(part)


clocks = st.integers(0, 23).map(lambda hour: f"{hour:02d}:00")
week_times = st.tuples(st.sets(st.sampled_from(WEEKDAYS), min_size=1), clocks, clocks).filter(
    lambda item: item[1] != item[2]
).map(lambda item: {"days": sorted(item[0]), "from": item[1], "to": item[2]})  # fmt: skip


@given(
    windows=st.lists(week_times, max_size=2), blackouts=st.lists(week_times, max_size=2),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Auckland", "Asia/Kolkata"]),
    minutes=st.integers(0, 60 * 24 * 365),
)  # fmt: skip
def test_nothing_changes_before_the_time_that_is_told(
    windows: list[Any], blackouts: list[Any], zone: str, minutes: int
) -> None:
    """Up to it every quarter of an hour is as now; at it, where it comes within a week, it is otherwise."""
    given_ = schedules(open=windows, blackouts=blackouts, time_zone=zone)
    now = MONDAY + dt.timedelta(minutes=minutes)
    found = standing_of(given_, now)
    assert found.until > now
    moment = now
    while moment < min(found.until, now + dt.timedelta(days=8)):
        assert (closed_by(given_, moment) == "") is found.is_open
        moment += dt.timedelta(minutes=15)
    if found.until < now + dt.timedelta(days=8):
        assert (closed_by(given_, found.until) == "") is not found.is_open
