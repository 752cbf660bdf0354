"""What Dataverse's headers say about its service protection limits. Pure.

Source: Dataverse, Service protection API limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from headwater.connectors.base.http import retry_after_s
from headwater.connectors.base.port import LimitFacts

WINDOW_S: Final = 300.0
"""Width of the sliding windows of requests and of execution time."""
REMAINING: Final = "x-ms-ratelimit-burst-remaining-xrm-requests"


def read_limits(headers: Mapping[str, str]) -> LimitFacts:
    """Return what the headers of one answer (names in lower case) say."""
    text = headers.get(REMAINING, "").strip()
    remaining = int(text) if text.isdigit() and text.isascii() else None
    return LimitFacts(
        window_remaining=remaining,
        window_s=None if remaining is None else WINDOW_S,
        retry_after_s=retry_after_s(headers),
    )
