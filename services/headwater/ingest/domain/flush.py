"""The decision table of a flush: what is new, what is known, what contradicts the ledger. Pure.

ledger, or an earlier row of the batch    outcome
no entry                                  ACCEPTED, or QUARANTINED when it breaks the contract
same key, same content                    DUPLICATE
same key, other content                   REFUSED, PAYLOAD_CONFLICT
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from headwater.ingest.domain.event import Disposition, LedgerKey, NewEvent, Outcome, refused
from headwater.ingest.domain.keys import key_text
from headwater.kernel.errors import FieldViolation

PAYLOAD_CONFLICT = "PAYLOAD_CONFLICT"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to insert, and what to answer once that is committed.

    Args:
        fresh: events to insert, in the order of their keys: two writers that insert the same keys
            then wait for each other in one direction only.
        outcomes: one per event, in the order given.
    """

    fresh: tuple[NewEvent, ...]
    outcomes: tuple[Outcome, ...]


def decide(events: Sequence[NewEvent], ledger: Mapping[LedgerKey, bytes]) -> Decision:
    """Return what is new among *events* and every outcome.

    Args:
        ledger: content hash of each key that is already recorded.
    """
    seen = dict(ledger)
    fresh: list[NewEvent] = []
    outcomes: list[Outcome] = []
    for event in events:
        key = event.ledger_key
        recorded = seen.get(key)
        if recorded is None:
            seen[key] = event.content_hash
            fresh.append(event)
            outcomes.append(Outcome(event.disposition, event.event_key, event.violations))
        elif recorded == event.content_hash:
            outcomes.append(Outcome(Disposition.DUPLICATE, event.event_key))
        else:
            outcomes.append(_conflict(event, recorded))
    fresh.sort(key=lambda event: (event.tenant_id, event.event_key))
    return Decision(tuple(fresh), tuple(outcomes))


def decide_after_race(
    events: Sequence[NewEvent], ledger: Mapping[LedgerKey, bytes], inserted: Collection[LedgerKey]
) -> Decision:
    """Return the outcomes after other writers recorded some of the keys first.

    Args:
        ledger: content hash of every key of *events*, our own insertions among them.
        inserted: keys that this writer inserted.
    """
    others = {key: value for key, value in ledger.items() if key not in inserted}
    return decide(events, others)


def _conflict(event: NewEvent, recorded: bytes) -> Outcome:
    offered = event.content_hash.hex()
    description = (
        f"event key {key_text(event.event_key)} is recorded with content hash {recorded.hex()}, "
        f"this event's content hash is {offered}"
    )
    broken = FieldViolation("event", offered, "same_content", description)
    return refused(PAYLOAD_CONFLICT, (broken,), event.event_key)
