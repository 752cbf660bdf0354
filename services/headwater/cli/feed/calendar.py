"""From an iCalendar file (RFC 5545) to the rows of meetings: one for each occurrence. Pure, but for the bytes it is given.

Owns which statement of an occurrence counts (the highest SEQUENCE, then the latest DTSTAMP, wherever it stands in the
file) and what a cancellation is. How recurrence rules unfold is the library's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any, Final

import icalendar
import recurring_ical_events

from headwater.cli.feed.rows import Row, Unreadable
from headwater.kernel.ids import EXTERNAL_ID_CHARS_MAX

OCCURRENCES_MAX: Final = 10_000
"""Occurrences that one file is unfolded to."""
PARTICIPANTS_MAX: Final = 100
SUBJECT_CHARS_MAX: Final = 500
_CANCELLED: Final = "cancelled"


def read_calendar(content: bytes, since: dt.datetime, until: dt.datetime) -> Iterator[Row | Unreadable]:
    """Yield a row for each occurrence between *since* and *until*; what is cancelled among them, as cancelled.

    An occurrence keeps its id when it is moved: it is named by the meeting's UID and the time at which the rule has it.
    """
    try:
        calendars = icalendar.Calendar.from_ical(content, multiple=True)
    except ValueError as error:
        yield Unreadable(1, "bad_calendar", f"not an iCalendar file: {error}")
        return
    number = 0
    for calendar in calendars:
        for found in _occurrences(_current(calendar), since, until):
            number += 1
            if number > OCCURRENCES_MAX:
                yield Unreadable(number, "too_many_occurrences", f"more than {OCCURRENCES_MAX} in the window")
                return
            yield _row(number, found, method=str(calendar.get("METHOD", "")))


def _current(calendar: Any) -> Any:
    """Return *calendar* with only the newest statement of each event and each changed occurrence."""
    newest: dict[tuple[str, str], Any] = {}
    for event in calendar.walk("VEVENT"):
        key = (str(event.get("UID", "")), _rule_time(event))
        held = newest.get(key)
        if held is None or _edition(held) < _edition(event):
            newest[key] = event
    kept = icalendar.Calendar()
    for part in (*calendar.walk("VTIMEZONE"), *newest.values()):
        kept.add_component(part)
    return kept


def _occurrences(calendar: Any, since: dt.datetime, until: dt.datetime) -> Iterator[Any]:
    """Yield what takes place in the window, in order of time; of a cancelled meeting as well."""
    events = recurring_ical_events.of(calendar, skip_bad_series=True).between(since, until)
    yield from sorted(events, key=lambda event: (_moment(event["DTSTART"].dt), str(event.get("UID", ""))))


def _edition(event: Any) -> tuple[int, dt.datetime]:
    stamp = event.get("DTSTAMP")
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return int(event.get("SEQUENCE", 0)), _moment(stamp.dt) if stamp is not None else never


def _rule_time(event: Any) -> str:
    named = event.get("RECURRENCE-ID")
    return "" if named is None else _moment(named.dt).isoformat()


def _row(number: int, event: Any, method: str) -> Row | Unreadable:
    uid, start = str(event.get("UID", "")).strip(), _moment(event["DTSTART"].dt)
    if not uid:
        return Unreadable(number, "no_uid", f"an event at {start:%Y-%m-%d %H:%M} has no UID")
    stamp = event.get("DTSTAMP") or event.get("LAST-MODIFIED")
    named = event.get("RECURRENCE-ID")
    place = _moment(named.dt) if named is not None else start
    external_id = f"{uid}/{place:%Y%m%dT%H%M%SZ}"
    if len(external_id) > EXTERNAL_ID_CHARS_MAX:
        return Unreadable(number, "long_uid", f"the UID of an event has {len(uid)} characters")
    cancelled = method.upper() == "CANCEL" or str(event.get("STATUS", "")).upper() == "CANCELLED"
    end = event.get("DTEND")
    payload: dict[str, Any] = {
        "kind": "meeting",
        "subject": str(event.get("SUMMARY", ""))[:SUBJECT_CHARS_MAX],
        "time": _text(start),
        "end_time": _text(_moment(end.dt)) if end is not None else "",
        "status": _CANCELLED if cancelled else str(event.get("STATUS", "confirmed")).lower(),
        "message_id": uid,
        "thread_id": uid,
        "sequence": int(event.get("SEQUENCE", 0)),
        "participants": list(_participants(event))[:PARTICIPANTS_MAX],
    }
    return Row(number, external_id, _moment(stamp.dt) if stamp is not None else start, payload)


def _participants(event: Any) -> Iterator[dict[str, str]]:
    for role, name in (("organizer", "ORGANIZER"), ("attendee", "ATTENDEE")):
        given = event.get(name, [])
        for item in given if isinstance(given, list) else [given]:
            address = str(item).strip()
            address = address[7:] if address.lower().startswith("mailto:") else address
            if "@" in address:
                yield {"role": role, "address": address, "name": str(item.params.get("CN", ""))}


def _moment(when: dt.date | dt.datetime) -> dt.datetime:
    """Return a moment in UTC; a day begins at midnight, and a time without a zone is UTC."""
    if not isinstance(when, dt.datetime):
        return dt.datetime(when.year, when.month, when.day, tzinfo=dt.UTC)
    return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


def _text(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
