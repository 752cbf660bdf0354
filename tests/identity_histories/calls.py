"""What clients ask of the identity service and what they are told: the words of a history. Values only.

Entities and merges are named by the ids that the service chose, records by us: `ann/2` is the second record that
has the key `ann`, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec


class Resolve(msgspec.Struct, frozen=True, tag=True):
    """Resolve records, in one batch, in this order."""

    records: tuple[str, ...]


class Merge(msgspec.Struct, frozen=True, tag=True):
    """Merge an entity into another one; request names the request, so that it can be repeated."""

    winner: str
    loser: str
    request: str = ""


class Split(msgspec.Struct, frozen=True, tag=True):
    """Undo a merge."""

    merge: str


class GetRecord(msgspec.Struct, frozen=True, tag=True):
    """Ask for the entity of a record."""

    record: str


class GetEntity(msgspec.Struct, frozen=True, tag=True):
    """Ask for an entity."""

    entity: str


class Resolved(msgspec.Struct, frozen=True, tag=True):
    """The entity of each record, in the order of the batch."""

    entities: tuple[str, ...]


class Merged(msgspec.Struct, frozen=True, tag=True):
    """The merge, and how many records it moved."""

    merge: str
    moved: int


class Restored(msgspec.Struct, frozen=True, tag=True):
    """The entity that stands for itself again, and how many records went back."""

    entity: str
    moved: int


class View(msgspec.Struct, frozen=True, tag=True):
    """An entity with its records; merged_into is empty while it stands for itself."""

    entity: str
    merged_into: str
    members: frozenset[str]


class Absent(msgspec.Struct, frozen=True, tag=True):
    """There is no such thing."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The state does not allow it."""


Call: TypeAlias = Resolve | Merge | Split | GetRecord | GetEntity
Answer: TypeAlias = Resolved | Merged | Restored | View | Absent | Refused


class Operation(msgspec.Struct, frozen=True):
    """A call and its answer.

    Args:
        called: when it was sent, in nanoseconds of any one clock.
        returned: when the answer was there; of no meaning without one.
        answer: None when nobody knows whether it took effect, or ever will.
    """

    client: int
    call: Call
    called: int
    returned: int
    answer: Answer | None


History: TypeAlias = Sequence[Operation]


class SavedHistory(msgspec.Struct, frozen=True):
    """A history as it is kept in a file, with where it came from."""

    source: str
    operations: tuple[Operation, ...]


def records_of(call: Call) -> tuple[str, ...]:
    """Return the records that a call names."""
    if isinstance(call, Resolve):
        return call.records
    return (call.record,) if isinstance(call, GetRecord) else ()


def key_of(record: str) -> str:
    """Return the one strong key of a record."""
    return record.partition("/")[0]


def write_history(path: Path, source: str, history: History) -> Path:
    """Keep a history, to be checked again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(SavedHistory(source, tuple(history))), indent=1))
    return path


def read_history(path: Path) -> SavedHistory:
    """Read a history that was kept."""
    return msgspec.json.decode(path.read_bytes(), type=SavedHistory)
