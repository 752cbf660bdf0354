"""The decision table of a flush: what is new, what is known, what contradicts the ledger. Pure.

ledger, or an earlier row of the batch     outcome
no entry                                   ACCEPTED, or QUARANTINED when it breaks the contract
same key, same content                     DUPLICATE
same key, other content                    REFUSED, PAYLOAD_CONFLICT
entry older than the source's window       recorded again, under the key of the next generation
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import attrgetter
from typing import Final

import msgspec

from headwater.ingest.domain.event import Disposition, LedgerKey, NewEvent, Outcome, refused
from headwater.ingest.domain.keys import key_text
from headwater.kernel.errors import FieldViolation

PAYLOAD_CONFLICT = "PAYLOAD_CONFLICT"

FEW_ROWS_MAX: Final = 100
"""Batches up to this size take the one-round-trip road: its median takes 0.7 of the COPY's time at 40 rows, 0.9 at
80, 1.2 at 160, 1.5 at 320 (both roads in turn on an idle log, two cores, `tests/load/ingest/roads.py`)."""

LOOKS_AFTER_DUPLICATE: Final = 32
"""Batches that look the ledger up before they write, after one that met a duplicate."""

_TIME_BYTES: Final = 6
_by_key = attrgetter("event_key")


class Known(msgspec.Struct, frozen=True):
    """What the ledger knows of a key: its newest generation.

    Args:
        event_key: of that generation.
        record_us: when that was recorded, microseconds since 1970.
        now_us: the database's time when it was asked.
        generation: 0 for the first.
    """

    event_key: bytes
    content_hash: bytes
    record_us: int
    now_us: int
    generation: int = 0

    def blocks(self, window_s: float | None) -> bool:
        """Say whether a re-send is a duplicate, by the window of its source (None: for ever)."""
        return window_s is None or self.now_us - self.record_us <= window_s * 1e6


class Resend(msgspec.Struct, frozen=True):
    """An event recorded again: the key that it was sent with, and which generation of it this is."""

    base_key: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What to insert, and what to answer once that is committed.

    Args:
        fresh: events to insert, in the order of their keys: two writers that insert the same keys
            then wait for each other in one direction only.
        outcomes: one per event, in the order given.
        resends: those of *fresh* that are recorded again, by their new key.
    """

    fresh: Sequence[NewEvent]
    outcomes: Sequence[Outcome]
    resends: Mapping[LedgerKey, Resend] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pace:
    """Whether batches look before they write: *looks_left* more do."""

    looks_left: int = 0

    @property
    def looks(self) -> bool:
        """Whether the next batch asks the ledger first."""
        return self.looks_left > 0

    def after(self, *, met_duplicate: bool) -> Pace:
        """Return the pace after a batch: a violation throws a whole batch away, a look costs a fifth of one."""
        if met_duplicate:
            return Pace(LOOKS_AFTER_DUPLICATE)
        return Pace(self.looks_left - 1) if self.looks_left else self


def oldest_ms(events: Sequence[NewEvent]) -> int:
    """Return the milliseconds that lead the oldest key; 0 when some key leads with no time."""
    oldest_us = min(0 if event.request_id else event.event_time_us for event in events)
    return max(0, oldest_us // 1000)


def successor_key(base_key: bytes, generation: int) -> bytes:
    """Return the key of a later generation: it leads with the same time."""
    framed = base_key + generation.to_bytes(8, "big")
    return base_key[:_TIME_BYTES] + blake2b(framed, digest_size=16 - _TIME_BYTES).digest()


def decide(events: Sequence[NewEvent], ledger: Mapping[LedgerKey, Known]) -> Decision:
    """Return what is new among *events* and every outcome.

    Args:
        ledger: what is recorded of each key, and of successors met on the way; not what this writer recorded.
    """
    if not ledger and len({event.event_key for event in events}) == len(events):
        return _all_fresh(events)
    fresh: list[NewEvent] = []
    outcomes: list[Outcome] = []
    resends: dict[LedgerKey, Resend] = {}
    seen: dict[LedgerKey, tuple[bytes, bytes]] = {}
    for event in events:
        key = (event.tenant_id, event.event_key)
        answered = seen.get(key)
        if answered is None:
            known = _newest(event, ledger) if ledger else None
            if known is None or not known.blocks(event.dedup_window_s):
                new = event if known is None else _again(event, known, resends)
                seen[key] = (event.content_hash, new.event_key)
                fresh.append(new)
                outcomes.append(Outcome(new.disposition, new.event_key, new.violations))
                continue
            seen[key] = answered = (known.content_hash, known.event_key)
        outcomes.append(_met(event, *answered))
    fresh.sort(key=_by_key)
    return Decision(fresh, outcomes, resends)


def _all_fresh(events: Sequence[NewEvent]) -> Decision:
    """Return the decision of `decide` where nothing is known and no key comes twice."""
    accepted, quarantined = Disposition.ACCEPTED, Disposition.QUARANTINED
    outcomes = [
        Outcome(quarantined, event.event_key, event.violations)
        if event.violations
        else Outcome(accepted, event.event_key)
        for event in events
    ]
    return Decision(sorted(events, key=_by_key), outcomes)


def decide_after_race(
    events: Sequence[NewEvent], ledger: Mapping[LedgerKey, Known], inserted: Collection[LedgerKey]
) -> Decision:
    """Return the outcomes after other writers recorded some of the keys first.

    Args:
        ledger: what is recorded, our own insertions perhaps among it.
        inserted: keys that this writer inserted: never fresh again.
    """
    others = {key: value for key, value in ledger.items() if key not in inserted}
    decision = decide(events, others)
    fresh = [event for event in decision.fresh if event.ledger_key not in inserted]
    return Decision(fresh, decision.outcomes, decision.resends)


def _newest(event: NewEvent, ledger: Mapping[LedgerKey, Known]) -> Known | None:
    known = ledger.get(event.ledger_key)
    while known is not None and not known.blocks(event.dedup_window_s):
        generation = known.generation + 1
        later = ledger.get((event.tenant_id, successor_key(event.event_key, generation)))
        if later is None:
            break
        known = msgspec.structs.replace(later, generation=generation)
    return known


def _again(event: NewEvent, known: Known, resends: dict[LedgerKey, Resend]) -> NewEvent:
    generation = known.generation + 1
    key = successor_key(event.event_key, generation)
    resends[event.tenant_id, key] = Resend(event.event_key, generation)
    return msgspec.structs.replace(event, event_key=key)


def _met(event: NewEvent, recorded: bytes, event_key: bytes) -> Outcome:
    if recorded == event.content_hash:
        return Outcome(Disposition.DUPLICATE, event_key)
    offered = event.content_hash.hex()
    description = (
        f"event key {key_text(event_key)} is recorded with content hash {recorded.hex()}, "
        f"this event's content hash is {offered}"
    )
    broken = FieldViolation("event", offered, "same_content", description)
    return refused(PAYLOAD_CONFLICT, (broken,), event_key)
