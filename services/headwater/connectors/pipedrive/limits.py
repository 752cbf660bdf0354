"""What Pipedrive's headers say about limits: a window of two seconds in calls, a day in tokens. Pure.

Source: Pipedrive, Rate limiting; the headers of the daily budget may be missing after a pause (developer community).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headwater.connectors.base.http import retry_after_s
from headwater.connectors.base.port import LimitFacts

WINDOW_S: Final = 2.0
"""Width of the burst window, whatever the plan."""
DAILY_LIMIT: Final = "x-daily-ratelimit-token-limit"
DAILY_REMAINING: Final = "x-daily-ratelimit-token-remaining"
RESET: Final = "x-ratelimit-reset"
LIST_TOKENS: Final = 10
"""Tokens of one page of a list."""
SEARCH_TOKENS: Final = 20
"""Tokens of one search."""


def read_limits(headers: Mapping[str, str]) -> LimitFacts:
    """Return what the headers of one answer (names in lower case) say; the day is counted in tokens."""
    limit, remaining = _whole(headers, DAILY_LIMIT), _whole(headers, DAILY_REMAINING)
    told = _whole(headers, "x-ratelimit-limit")
    return LimitFacts(
        window_remaining=_whole(headers, "x-ratelimit-remaining"),
        window_s=WINDOW_S if told is not None else None,
        window_limit=told,
        daily_used=limit - remaining if limit is not None and remaining is not None else None,
        daily_limit=limit,
        retry_after_s=retry_after_s(headers),
    )


def pause_s(headers: Mapping[str, str]) -> float | None:
    """Return how long to wait after a 429: Retry-After, else the rest of the window; None when nothing says."""
    stated = retry_after_s(headers)
    rest = _whole(headers, RESET)
    return stated if stated is not None or rest is None else float(rest)


def day_is_spent(headers: Mapping[str, str]) -> bool:
    """Tell whether a 429 is the day's: it does not pass by waiting for the window."""
    return _whole(headers, DAILY_REMAINING) == 0


def _whole(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isdigit() and text.isascii() else None
