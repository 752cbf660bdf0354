"""What the ledger says of one event, as closed values; of many, as a sequence that is decoded when looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, overload

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


_ACCEPTED: Final[int] = ingest_pb2.DISPOSITION_ACCEPTED
_DUPLICATE: Final[int] = ingest_pb2.DISPOSITION_DUPLICATE

Outcome = Accepted | Duplicate | Quarantined | Refused


class Outcomes(Sequence[Outcome]):
    """The outcomes of a batch, in the order of its events.

    Kept as they came and decoded when looked at: who only counts batches pays for no values. Equal to any
    sequence of the same outcomes.
    """

    __slots__ = ("_messages",)

    def __init__(self, messages: Sequence[ingest_pb2.EventOutcome]) -> None:
        self._messages = messages

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, index: int | slice) -> Outcome | Sequence[Outcome]:
        if isinstance(index, slice):
            return tuple(map(read_outcome, self._messages[index]))
        return read_outcome(self._messages[index])

    def at(self, index: int) -> Outcome:
        """Return one outcome: `[index]` without the question whether it is a slice."""
        return read_outcome(self._messages[index])

    def __iter__(self) -> Iterator[Outcome]:
        return map(read_outcome, self._messages)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Outcomes({list(self)!r})"

    @property
    def all_accepted(self) -> bool:
        """Whether every event was recorded now: the common case, told without building values."""
        return all(message.disposition == _ACCEPTED for message in self._messages)


def read_outcome(message: ingest_pb2.EventOutcome) -> Outcome:
    """Return the value that *message* states.

    Raises:
        HeadwaterError: a disposition that this release does not know.
    """
    disposition = message.disposition
    if disposition == _ACCEPTED:
        return Accepted(message.event_key)
    if disposition == _DUPLICATE:
        return Duplicate(message.event_key)
    violations = read_violations(message.violations)
    if disposition == ingest_pb2.DISPOSITION_QUARANTINED:
        return Quarantined(message.event_key, violations)
    if disposition == ingest_pb2.DISPOSITION_REFUSED:
        return Refused(message.event_key, message.reason, violations)
    raise HeadwaterError(f"ingest answered with disposition {disposition}", reason="UNKNOWN_OUTCOME")


def read_violations(messages: Iterable[event_pb2.Violation]) -> tuple[FieldViolation, ...]:
    """Return the violations as the kernel's values."""
    return tuple(FieldViolation(item.field, item.value, item.rule, item.description) for item in messages)
