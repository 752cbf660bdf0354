"""The error that a unary caller sees where a batch would carry a REFUSED outcome. Pure."""

from __future__ import annotations

from headwater.ingest.domain.event import Outcome
from headwater.ingest.domain.flush import PAYLOAD_CONFLICT
from headwater.ingest.domain.keys import key_text
from headwater.kernel.errors import Conflict, HeadwaterError, InvalidInput, PreconditionFailed

_SHOWN_MAX = 5


def refusal_error(outcome: Outcome) -> HeadwaterError:
    """Return the error of a refused event: the table of reasons."""
    shown = "; ".join(
        f"{item.field} ({item.rule}): {item.description}" for item in outcome.violations[:_SHOWN_MAX]
    )
    if outcome.reason == PAYLOAD_CONFLICT:
        offered = outcome.violations[0].value
        metadata = {"event_key": key_text(outcome.event_key or b""), "offered_content_hash": offered}
        return Conflict(shown, reason=outcome.reason, metadata=metadata)
    if outcome.reason == "NO_POLICY":
        return PreconditionFailed(shown, reason=outcome.reason)
    more = len(outcome.violations) - _SHOWN_MAX
    message = f"event refused: {shown}" + (f" (and {more} more)" if more > 0 else "")
    return InvalidInput(message, violations=outcome.violations, reason=outcome.reason)
