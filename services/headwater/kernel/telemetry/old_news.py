"""What an event's trace context says of its urgency: a member of `tracestate` marks old news, told in bulk."""

from __future__ import annotations

import secrets
from typing import Final

from headwater.kernel.telemetry.context import TraceContext

BACKFILL_STATE: Final = "headwater=backfill"
"""Member of an event's `tracestate` that says: this is old news, it stands in the lane of backfills.

It is part of no key, so an event that live traffic has told is the same event.
"""


def is_old_news(tracestate: str) -> bool:
    """Say whether *tracestate* marks old news."""
    return tracestate == BACKFILL_STATE or (
        BACKFILL_STATE in tracestate
        and BACKFILL_STATE in (member.strip() for member in tracestate.split(","))
    )


def old_news() -> TraceContext:
    """Return a context of its own for many old changes: not sampled, as it stands for hundreds of them."""
    return TraceContext(f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00", BACKFILL_STATE)
