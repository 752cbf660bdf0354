"""What HubSpot's headers say about limits. Pure.

Source: recordings of a real portal (2024): Daily, Daily-Remaining, Interval-Milliseconds, Max, Remaining.
"""

from __future__ import annotations

from collections.abc import Mapping

from headwater.connectors.base.http import retry_after_s
from headwater.connectors.base.port import LimitFacts


def read_limits(headers: Mapping[str, str]) -> LimitFacts:
    """Return what the headers of one answer (names in lower case) say."""
    daily = _count(headers, "x-hubspot-ratelimit-daily")
    remaining = _count(headers, "x-hubspot-ratelimit-daily-remaining")
    interval_ms = _count(headers, "x-hubspot-ratelimit-interval-milliseconds")
    return LimitFacts(
        window_remaining=_count(headers, "x-hubspot-ratelimit-remaining"),
        window_s=None if interval_ms is None else interval_ms / 1000,
        daily_used=None if daily is None or remaining is None else max(0, daily - remaining),
        daily_limit=daily,
        retry_after_s=retry_after_s(headers),
        window_limit=_count(headers, "x-hubspot-ratelimit-max"),
    )


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() else None
