"""Times as texts and numbers of JSON, to whole microseconds. Pure.

Digits beyond the microsecond are cut off, as the wire contract's Timestamp is read, so that one event is the
same event through every door.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

TimeFormat = Literal["iso_datetime", "epoch_s", "epoch_ms"]

TIME_US_MAX: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999, the end of RFC 3339."""

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_MICROSECONDS_OF: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000}
_MINUTE_S: Final = 60


def read_rfc3339_us(text: str) -> int | None:
    """Return a moment as microseconds since 1970; None when *text* is not RFC 3339 with an offset."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    try:
        moment = dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        return None
    offset_s = _MINUTE_S * (int(offset_hours or 0) * _MINUTE_S + int(offset_minutes or 0))
    seconds = calendar.timegm(moment.utctimetuple()) - (-offset_s if sign == "-" else offset_s)
    return seconds * 1_000_000 + int((fraction or "")[:6].ljust(6, "0"))


def read_time_us(value: Any, form: TimeFormat) -> int | None:
    """Return a moment of a JSON body as microseconds since 1970; None when it is not of the form."""
    if form == "iso_datetime":
        return read_rfc3339_us(value) if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        time_us = Decimal(str(value)) * _MICROSECONDS_OF[form]
        return int(time_us) if 0 <= time_us <= TIME_US_MAX else None
    except InvalidOperation:
        return None
