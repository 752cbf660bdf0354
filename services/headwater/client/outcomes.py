"""What the ledger says of one event, as closed values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import FieldViolation, HeadwaterError


@dataclass(frozen=True, slots=True)
class Accepted:
    """Recorded now, durable."""

    event_key: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Recorded before with the same content; nothing changed."""

    event_key: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Recorded, but it breaks the tenant's contract: waits for a person."""

    event_key: str
    violations: tuple[FieldViolation, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Not recorded: malformed, or the key is taken by another content; *reason* is for machines."""

    event_key: str
    reason: str
    violations: tuple[FieldViolation, ...] = ()


Outcome = Accepted | Duplicate | Quarantined | Refused


def read_outcome(message: ingest_pb2.EventOutcome) -> Outcome:
    """Return the value that *message* states.

    Raises:
        HeadwaterError: a disposition that this release does not know.
    """
    violations = read_violations(message.violations)
    match message.disposition:
        case ingest_pb2.DISPOSITION_ACCEPTED:
            return Accepted(message.event_key)
        case ingest_pb2.DISPOSITION_DUPLICATE:
            return Duplicate(message.event_key)
        case ingest_pb2.DISPOSITION_QUARANTINED:
            return Quarantined(message.event_key, violations)
        case ingest_pb2.DISPOSITION_REFUSED:
            return Refused(message.event_key, message.reason, violations)
    raise HeadwaterError(f"ingest answered with disposition {message.disposition}", reason="UNKNOWN_OUTCOME")


def read_violations(messages: Iterable[event_pb2.Violation]) -> tuple[FieldViolation, ...]:
    """Return the violations as the kernel's values."""
    return tuple(FieldViolation(item.field, item.value, item.rule, item.description) for item in messages)
