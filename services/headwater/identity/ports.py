"""What identity's use cases need of the world, in domain words. Protocols only."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from headwater.identity.domain.explaining import Side
from headwater.identity.domain.merging import Actor, Change, EntityState, Merge
from headwater.identity.domain.records import Holder, Key, RecordId, RecordRef
from headwater.identity.domain.resolving import KnownRecord, Plan
from headwater.kernel.ids import EntityId, TenantId


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A record of an entity."""

    ref: RecordRef
    rule: str
    resolve_time: dt.datetime


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """An open merge candidate; seq is its place in the list."""

    seq: int
    entity_id: EntityId
    other_entity_id: EntityId
    object: str
    rule: str
    ref: RecordRef


@dataclass(frozen=True, slots=True)
class ObjectCount:
    """Counts of one object."""

    object: str
    entities: int
    records: int
    merged: int


@dataclass(frozen=True, slots=True)
class DueChange:
    """A change of the outbox that is to be sent."""

    tenant_id: TenantId
    change: Change
    attempts: int


class ResolveTransaction(Protocol):
    """A transaction that nobody else resolves these records and keys in."""

    async def list_known(self, records: Sequence[RecordId]) -> Mapping[RecordId, KnownRecord]:
        """Return those of *records* that were resolved before."""
        ...

    async def list_holders(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Holder]]:
        """Return who has each of *keys*; keys that nobody has are left out."""
        ...

    async def write(self, plan: Plan, now: dt.datetime) -> None:
        """Write what a batch comes to."""
        ...


class MergeTransaction(Protocol):
    """A transaction in which nobody else of the tenant resolves, merges or splits."""

    async def find_entity(self, entity_id: EntityId) -> EntityState | None:
        """Return an entity, or None when it is unknown."""
        ...

    async def find_merge(self, merge_id: uuid.UUID) -> Merge | None:
        """Return a merge, or None when it is unknown."""
        ...

    async def find_standing_merge(self, loser_id: EntityId) -> Merge | None:
        """Return the merge by which an entity is in another one, or None."""
        ...

    async def list_refs(self, entity_id: EntityId) -> Sequence[RecordRef]:
        """Return an entity's records."""
        ...

    async def list_moved_back(self, merge_id: uuid.UUID) -> Sequence[tuple[RecordId, RecordRef]]:
        """Return the records that a split of the merge moves back."""
        ...

    async def write_merge(self, merge: Merge, actor: Actor, reason: str, change: Change) -> None:
        """Move the loser's records, and write the merge and its change down."""
        ...

    async def write_split(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, change: Change
    ) -> None:
        """Move records back, and write the split and its change down."""
        ...


class IdentityStore(Protocol):
    """Where entities are kept."""

    def resolving(
        self, tenant_id: TenantId, locks: Sequence[int], timeout_s: float | None
    ) -> AbstractAsyncContextManager[ResolveTransaction]:
        """Open a transaction that holds *locks*; commits at the end of the block."""
        ...

    def merging(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AbstractAsyncContextManager[MergeTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[IdentityStore]:
        """Open the store as of one moment, for questions that look at it more than once."""
        ...

    async def list_known(
        self, tenant_id: TenantId, records: Sequence[RecordId]
    ) -> Mapping[RecordId, KnownRecord]:
        """Return those of *records* that are resolved, all as of one moment; nothing is locked."""
        ...

    async def list_holders(self, tenant_id: TenantId, keys: Iterable[Key]) -> Mapping[Key, Sequence[Holder]]:
        """Return who has each of *keys* now."""
        ...

    async def find_entity(self, tenant_id: TenantId, entity_id: EntityId) -> EntityState | None:
        """Return an entity, or None when it is unknown."""
        ...

    async def find_entity_of_record(self, tenant_id: TenantId, record_id: RecordId) -> EntityId | None:
        """Return the entity of a record, or None when the record is unknown."""
        ...

    async def list_members(self, tenant_id: TenantId, entity_id: EntityId) -> Sequence[MemberRow]:
        """Return an entity's records, first resolved first."""
        ...

    async def find_side_of_record(self, tenant_id: TenantId, record_id: RecordId) -> Side | None:
        """Return a record with its keys, or None when it is unknown."""
        ...

    async def find_side_of_entity(self, tenant_id: TenantId, entity_id: EntityId) -> Side | None:
        """Return an entity with its keys, or None when it is unknown."""
        ...

    async def list_candidates(
        self, tenant_id: TenantId, after_seq: int, rows_max: int
    ) -> Sequence[CandidateRow]:
        """Return open candidates after a place in the list, oldest first."""
        ...

    async def count(self, tenant_id: TenantId) -> tuple[Sequence[ObjectCount], int]:
        """Return counts by object and the number of open candidates."""
        ...


class Outbox(Protocol):
    """The changes that the event log has to hear of."""

    async def list_due(self, now: dt.datetime, rows_max: int) -> Sequence[DueChange]:
        """Return changes to send, by tenant, in order."""
        ...

    async def mark_sent(self, tenant_id: TenantId, changes: Sequence[uuid.UUID], now: dt.datetime) -> None:
        """Note that the log has *changes*."""
        ...

    async def postpone(self, tenant_id: TenantId, change_id: uuid.UUID, until: dt.datetime) -> None:
        """Try a change again later."""
        ...


class EventLog(Protocol):
    """The log that other services read."""

    async def record(self, tenant_id: TenantId, changes: Sequence[Change]) -> Sequence[str]:
        """Record changes, once each however often they are sent.

        Returns:
            For each change nothing when the log has it, else why it was refused.

        Raises:
            Unavailable: the log cannot be reached, or does not answer in time.
        """
        ...


class Wake(Protocol):
    """Tells the relay that there is something to send."""

    def notify(self) -> None:
        """Wake the relay; never waits."""
        ...
