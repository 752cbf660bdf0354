"""When to warn of something that ends, and when to renew it. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Final

WARN_DAYS: Final = (7, 1)
"""Days before the end at which a warning is given (REQUIREMENTS F4), the furthest first."""
EXPIRED: Final = 0
"""The level of what has ended."""
RENEW_BEFORE_S: Final = 86_400.0
"""How long before its end a renewable one is renewed; with hourly looks that leaves many tries."""


def level(expire_time: dt.datetime, now: dt.datetime) -> int | None:
    """Return the nearest warning that is due: 7 or 1 days ahead, 0 when it has ended, None when none is."""
    ahead_days = (expire_time - now).total_seconds() / 86_400
    if ahead_days <= 0:
        return EXPIRED
    return min((days for days in WARN_DAYS if ahead_days <= days), default=None)


def is_news(found: int | None, told: int | None) -> bool:
    """Tell whether a warning of level *found* goes beyond the one *told* last: each is given once."""
    return found is not None and (told is None or found < told)


def to_renew(expire_time: dt.datetime, now: dt.datetime) -> bool:
    """Tell whether a renewable one is to be renewed now."""
    return (expire_time - now).total_seconds() <= RENEW_BEFORE_S
