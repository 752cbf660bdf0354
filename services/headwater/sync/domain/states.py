"""Records and entities as the projection holds them. Owns their shape; what changes them is in `projecting`."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headwater.policy.survivorship import Chosen, FieldFact, MemberRecord
from headwater.sync.domain.log import RecordKey

EntityKey = tuple[str, uuid.UUID]
"""Tenant and entity."""


@dataclass(slots=True)
class RecordState:
    """A source record with its own values.

    Args:
        home_seq: the change of identity as of which it is in its entity; 0 before the first.
        fresh: it is not in the store yet.
    """

    key: RecordKey
    entity_id: uuid.UUID
    fields: dict[str, FieldFact] = field(default_factory=dict)
    deleted: bool = False
    delete_time: dt.datetime | None = None
    home_seq: int = 0
    fresh: bool = False

    @property
    def speaks(self) -> bool:
        """Whether anything was heard of it; of one that identity moved before, only its entity is known."""
        return bool(self.fields) or self.delete_time is not None

    def as_member(self) -> MemberRecord:
        """Return the record as survivorship sees it."""
        return MemberRecord(self.key.source, self.key.external_id, self.fields, self.deleted)


@dataclass(slots=True)
class EntityState:
    """An entity as the projection holds it.

    Args:
        state_seq: the change of identity that ended or restored it last; 0 before the first.
    """

    tenant_id: str
    entity_id: uuid.UUID
    object: str
    state: str = "active"
    merged_into: uuid.UUID | None = None
    version: int = 0
    fields: dict[str, Chosen] = field(default_factory=dict)
    policy_version: str = ""
    state_seq: int = 0

    @property
    def key(self) -> EntityKey:
        """Tenant and entity."""
        return (self.tenant_id, self.entity_id)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a batch begins with.

    Args:
        entities: locked, with all their *members*.
        moved: records that were moved to other entities while these were locked.
    """

    entities: Sequence[EntityState]
    members: Sequence[RecordState]
    moved: Mapping[RecordKey, uuid.UUID]


@dataclass(frozen=True, slots=True)
class Tended:
    """An entity that routing has to look at: where nobody is given anything, there are none."""

    tenant_id: str
    entity_id: uuid.UUID
    object: str
    record_time: dt.datetime
    xid: int
    seq: int
