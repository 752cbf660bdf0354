"""The values that ingest works with: an event as it arrives, as it is recorded, and its outcome.

Values of the hot path are frozen `msgspec.Struct`s: ten times cheaper to make than frozen dataclasses. They
hold no cycles, so the garbage collector need not look at them (`gc=False`).
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import msgspec

from headwater.kernel.errors import FieldViolation
from headwater.kernel.ids import OBJECTS
from headwater.kernel.telemetry import TraceContext

EVENT_OBJECTS: Final = frozenset(OBJECTS)
"""Objects that any source may send."""

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Disposition(IntEnum):
    """What became of an event at the door; numbers of the wire contract."""

    ACCEPTED = 1
    DUPLICATE = 2
    QUARANTINED = 3
    REFUSED = 4


class Operation(IntEnum):
    """What happened to the record; numbers of the wire contract."""

    UPSERT = 1
    DELETE = 2


class QuarantineState(IntEnum):
    """The life of a quarantined event; numbers of the wire contract."""

    OPEN = 1
    RELEASED = 2
    DISCARDED = 3


class Actor(msgspec.Struct, frozen=True, gc=False):
    """Who or what made a change; *kind* is the wire contract's number."""

    kind: int = 0
    actor_id: str = ""
    name: str = ""


NOBODY: Final = Actor()


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """An event as its producer sent it, nothing checked.

    Args:
        event_time_us: microseconds since 1970; None when the producer gave none.
        operation: number of the wire contract, 0 when not said.
    """

    source: str
    object: str
    external_id: str
    source_version: str
    event_time_us: int | None
    operation: int
    payload: bytes
    actor: Actor
    request_id: str
    traceparent: str
    tracestate: str


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """A well-formed event that may enter the log, with its key.

    Args:
        event_key: 16 bytes; `keys.key_text` spells them for people.
        event_time_us: microseconds since 1970.
        violations: rules of the tenant's contract that it breaks; it goes to quarantine when there are any.
        released_from: key of the quarantined event that it releases.
        dedup_window_s: how long its key blocks a re-send; None: for ever.
    """

    tenant_id: str
    event_key: bytes
    content_hash: bytes
    record_hash: int
    source: str
    object: str
    external_id: str
    source_version: str
    event_time_us: int
    operation: int
    payload: bytes
    actor: Actor
    request_id: str
    trace: TraceContext | None
    violations: tuple[FieldViolation, ...] = ()
    released_from: bytes | None = None
    dedup_window_s: float | None = None

    @property
    def ledger_key(self) -> LedgerKey:
        """Tenant and event key: what the ledger is asked for."""
        return self.tenant_id, self.event_key

    @property
    def disposition(self) -> Disposition:
        """Its fate when nobody recorded it before."""
        return Disposition.QUARANTINED if self.violations else Disposition.ACCEPTED


LedgerKey = tuple[str, bytes]


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What the ledger says of one event.

    Args:
        event_key: 16 bytes; None only for a malformed event.
        violations: of a quarantined or refused event.
        reason: of a refusal, as PAYLOAD_CONFLICT or MALFORMED.
    """

    disposition: Disposition
    event_key: bytes | None = None
    violations: tuple[FieldViolation, ...] = ()
    reason: str = ""


def refused(reason: str, violations: tuple[FieldViolation, ...], event_key: bytes | None = None) -> Outcome:
    """Return the outcome of an event that is not recorded."""
    return Outcome(Disposition.REFUSED, event_key, violations, reason)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event of the log with what the log added.

    Args:
        record_day: the day of the log that holds it.
    """

    event: NewEvent
    record_time: dt.datetime
    disposition: Disposition
    xid: int
    seq: int
    record_day: dt.date

    @property
    def place(self) -> Place:
        """Where it stands in the log."""
        return self.record_day, self.xid, self.seq


Place = tuple[dt.date, int, int]
"""Day, transaction id, sequence number: the log's order."""


@dataclass(frozen=True, slots=True)
class QuarantinedEvent:
    """A quarantined event and where it stands."""

    recorded: RecordedEvent
    violations: tuple[FieldViolation, ...]
    state: QuarantineState
    open_time: dt.datetime
    released_as: uuid.UUID | None = None
    discard_reason: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Which quarantined events are wanted; an empty text means any.

    Args:
        rule, field: of one of the rules that an event breaks.
    """

    rule: str = ""
    field: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineGroup:
    """One cause of quarantined events.

    Args:
        description: what is wrong with the newest one.
        sample_keys: up to 5, the oldest first.
    """

    rule: str
    field: str
    source: str
    object: str
    event_count: int
    first_time: dt.datetime
    last_time: dt.datetime
    sample_keys: tuple[uuid.UUID, ...]
    description: str
    owner: str = ""
    backup: str = ""
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class EventCount:
    """Number of events of one source, object and disposition."""

    source: str
    object: str
    disposition: Disposition
    count: int


JsonObject = dict[str, Any]
