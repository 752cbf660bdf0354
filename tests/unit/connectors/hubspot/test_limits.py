"""HubSpot's limit headers."""

from __future__ import annotations

from headwater.connectors.base import LimitFacts
from headwater.connectors.hubspot.limits import read_limits


def test_read_limits_takes_what_is_there() -> None:
    """All counts, seconds not milliseconds, and used instead of remaining."""
    headers = {
        "x-hubspot-ratelimit-remaining": "96",
        "x-hubspot-ratelimit-interval-milliseconds": "10000",
        "x-hubspot-ratelimit-daily": "250000",
        "x-hubspot-ratelimit-daily-remaining": "249839",
        "retry-after": "3",
    }
    assert read_limits(headers) == LimitFacts(96, 10.0, 161, 250_000, 3.0)


def test_read_limits_says_nothing_when_headers_are_missing_or_broken() -> None:
    """No header, no fact."""
    assert read_limits({"x-hubspot-ratelimit-remaining": "many"}) == LimitFacts()
