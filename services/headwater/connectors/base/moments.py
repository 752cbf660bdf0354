"""Points in time as text, in one form whatever the vendor's. Pure."""

from __future__ import annotations

import datetime as dt


def utc_text(text: str) -> str:
    """Return an ISO 8601 time as `2026-01-31T10:00:00Z`, milliseconds only where there are any.

    So that a value read back equals the one written. What is not a time with its offset stays as it is.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is None:
        return text
    utc = moment.astimezone(dt.UTC)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")
