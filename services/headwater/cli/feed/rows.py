"""What a reader yields: a row that can become an event, or the reason why it cannot. Pure values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One record of the file.

    Args:
        number: from 1, unreadable rows counted too.
        external_id: the source's id of the record.
        event_time: aware, UTC.
        payload: the record in the source's words.
        note: how a missing part was made up for, as `date_from_envelope`; empty as a rule.
    """

    number: int
    external_id: str
    event_time: dt.datetime
    payload: Mapping[str, Any]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One record that cannot become an event; *reason* is for counting, *detail* for people."""

    number: int
    reason: str
    detail: str


def read_moment(text: str, time_format: str = "") -> dt.datetime | None:
    """Return the moment that *text* states, in UTC; None when it states none. A moment without a zone is UTC."""
    try:
        moment = dt.datetime.strptime(text, time_format) if time_format else dt.datetime.fromisoformat(text)  # noqa: DTZ007 - the zone is seen to below
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
