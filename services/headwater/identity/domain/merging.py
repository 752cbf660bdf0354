"""Merging and splitting as values: what may be merged, what the log hears of it. Pure."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from headwater.identity.domain.records import RecordRef
from headwater.kernel.errors import PreconditionFailed
from headwater.kernel.ids import EntityId, TenantId

_REQUESTS: Final = uuid.UUID("2f2b8f0e-5d5b-4c57-9d0e-0b6a3f5f8c11")
PAYLOAD_BYTES_MAX: Final = 250_000
"""Below the 256 KiB that an event may carry."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who merges or splits, for the audit; the type is the wire contract's number."""

    type: int
    id: str
    display_name: str


@dataclass(frozen=True, slots=True)
class EntityState:
    """An entity as it stands."""

    entity_id: EntityId
    object: str
    merged_into: EntityId | None
    create_time: dt.datetime


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge as it was written down."""

    merge_id: uuid.UUID
    seq: int
    object: str
    winner_id: EntityId
    loser_id: EntityId
    moved_count: int
    split_moved_count: int | None
    """None while the merge stands."""


@dataclass(frozen=True, slots=True)
class Change:
    """A merge or split that the event log has to hear of.

    Args:
        seq: its place among the tenant's changes; 0 before it is written.
    """

    change_id: uuid.UUID
    merge_id: uuid.UUID
    payload: bytes
    change_time: dt.datetime
    actor: Actor
    traceparent: str = ""
    tracestate: str = ""
    seq: int = 0

    @property
    def told(self) -> bytes:
        """The payload with its place: whoever applies changes in another order lets the later one win."""
        return self.payload[:-1] + b',"seq":%d}' % self.seq


def merge_id_of(tenant_id: TenantId, request_id: str) -> uuid.UUID:
    """Return the id of the merge that a request makes, whenever it comes."""
    return uuid.uuid5(_REQUESTS, f"{tenant_id}/{request_id}")


def answered_before(merge: Merge, winner_id: EntityId, loser_id: EntityId) -> Merge:
    """Return the merge that a request made before.

    Raises:
        PreconditionFailed: it asked for another one.
    """
    if (merge.winner_id, merge.loser_id) != (winner_id, loser_id):
        raise PreconditionFailed(
            f"this request_id has merged {merge.loser_id} into {merge.winner_id}: take a new one",
            reason="REQUEST_ID_USED",
            metadata={"merge_id": str(merge.merge_id)},
        )
    return merge


def merged_already(winner: EntityState, loser: EntityState) -> bool:
    """Say whether the loser is in the winner already.

    Raises:
        PreconditionFailed: the two are of different objects, or one of them is in a third.
    """
    if winner.object != loser.object:
        raise PreconditionFailed(
            f"entity {winner.entity_id} is a {winner.object}, {loser.entity_id} is a {loser.object}: "
            "only entities of one object merge",
            reason="DIFFERENT_OBJECTS",
        )
    if winner.merged_into is not None:
        raise _merged_elsewhere(winner)
    if loser.merged_into is not None and loser.merged_into != winner.entity_id:
        raise _merged_elsewhere(loser)
    return loser.merged_into is not None


def _merged_elsewhere(entity: EntityState) -> PreconditionFailed:
    return PreconditionFailed(
        f"entity {entity.entity_id} is merged into {entity.merged_into}: merge that one, or split first",
        reason="MERGED_ELSEWHERE",
        metadata={"entity_id": str(entity.entity_id), "merged_into": str(entity.merged_into)},
    )


def change_payload(
    change: Literal["merged", "split"],
    *,
    merge_id: uuid.UUID,
    object_name: str,
    winner_id: EntityId,
    loser_id: EntityId,
    moved: Sequence[RecordRef],
) -> bytes:
    """Return the payload of the event that tells of a merge or a split.

    Raises:
        PreconditionFailed: more records move than one event can name.
    """
    body = {
        "change": change,
        "object": object_name,
        "winner": str(winner_id),
        "loser": str(loser_id),
        "merge_id": str(merge_id),
        "moved": [one._asdict() for one in moved],
    }
    payload = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise PreconditionFailed(
            f"{len(moved)} records would move, more than one event can name ({PAYLOAD_BYTES_MAX} bytes): "
            "make the entity with more records the winner",
            reason="MERGE_TOO_LARGE",
        )
    return payload
