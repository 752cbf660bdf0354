"""Meetings of calendar files: occurrences, changes by SEQUENCE, cancellations, people."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from headwater.cli.feed.calendar import read_calendar
from headwater.cli.feed.rows import Row, Unreadable

SINCE, UNTIL = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
SERIES = """\
BEGIN:VEVENT
UID:weekly@firm.example
DTSTAMP:20260201T090000Z
SEQUENCE:0
DTSTART;TZID=Europe/Berlin:20260302T100000
DTEND;TZID=Europe/Berlin:20260302T103000
RRULE:FREQ=WEEKLY;COUNT=5
EXDATE;TZID=Europe/Berlin:20260316T100000
SUMMARY:Weekly
ORGANIZER;CN="Organizer":mailto:Org@firm.example
ATTENDEE:mailto:guest@other.example
ATTENDEE:tel:+49301234
END:VEVENT
"""
MOVED = """\
BEGIN:VEVENT
UID:weekly@firm.example
DTSTAMP:20260202T090000Z
SEQUENCE:{sequence}
RECURRENCE-ID;TZID=Europe/Berlin:20260309T100000
DTSTART;TZID=Europe/Berlin:20260309T{hour}0000
DTEND;TZID=Europe/Berlin:20260309T{hour}3000
SUMMARY:Weekly, at {hour}
{status}END:VEVENT
"""


def calendar(*events: str, method: str = "") -> bytes:
    """Return a file with *events*."""
    head = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n" + (f"METHOD:{method}\n" if method else "")
    return (head + "".join(events) + "END:VCALENDAR\n").replace("\n", "\r\n").encode()


def rows(content: bytes) -> list[Row]:
    """Return the meetings of a file."""
    found = list(read_calendar(content, SINCE, UNTIL))
    assert all(isinstance(item, Row) for item in found), found
    return [item for item in found if isinstance(item, Row)]


def test_each_occurrence_is_a_meeting_at_its_own_time() -> None:
    """By the zone's clock, over the change to summer time; without those that are taken out."""
    found = rows(calendar(SERIES))
    assert [row.payload["time"] for row in found] == [
        "2026-03-02T09:00:00Z", "2026-03-09T09:00:00Z", "2026-03-23T09:00:00Z", "2026-03-30T08:00:00Z",
    ]  # fmt: skip
    assert len({row.external_id for row in found}) == 4
    assert {row.payload["thread_id"] for row in found} == {"weekly@firm.example"}
    assert found[0].payload["participants"] == [
        {"role": "organizer", "address": "Org@firm.example", "name": "Organizer"},
        {"role": "attendee", "address": "guest@other.example", "name": ""},
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_several_changes_the_highest_sequence_counts(order: tuple[int, ...]) -> None:
    """In whatever order they stand; the occurrence keeps its id."""
    events = [
        SERIES,
        MOVED.format(sequence=1, hour=14, status=""),
        MOVED.format(sequence=2, hour=16, status=""),
    ]
    found = {row.external_id: row for row in rows(calendar(*(events[place] for place in order)))}
    assert len(found) == 4
    moved = found["weekly@firm.example/20260309T090000Z"]
    assert (moved.payload["time"], moved.payload["sequence"]) == ("2026-03-09T15:00:00Z", 2)


def test_a_cancelled_occurrence_is_told_as_cancelled() -> None:
    """The others stay; a cancelled file cancels all of its meetings."""
    one = MOVED.format(sequence=3, hour=10, status="STATUS:CANCELLED\n")
    found = {row.external_id[-16:]: row.payload["status"] for row in rows(calendar(SERIES, one))}
    assert found.pop("20260309T090000Z") == "cancelled"
    assert set(found.values()) == {"confirmed"}
    assert {row.payload["status"] for row in rows(calendar(SERIES, method="CANCEL"))} == {"cancelled"}


def test_what_is_no_calendar_is_unreadable() -> None:
    """It is told, not raised."""
    (found,) = read_calendar(b"Subject: hello\r\n\r\nno calendar", SINCE, UNTIL)
    assert isinstance(found, Unreadable)
    assert found.reason == "bad_calendar"
