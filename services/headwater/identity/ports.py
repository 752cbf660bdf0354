"""What identity's use cases need of the world, in domain words. Protocols only."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from headwater.identity.domain.explaining import Side
from headwater.identity.domain.merging import Actor, Change, EntityState, Merge
from headwater.identity.domain.records import GroupId, RecordId, RecordRef
from headwater.identity.domain.resolving.values import (
    KeyUse,
    KnownRecord,
    Looked,
    Near,
    Pair,
    Plan,
    Question,
    Wanted,
)
from headwater.identity.domain.reviewing import Action, Review, Thresholds
from headwater.kernel.ids import EntityId, TenantId


@dataclass(frozen=True, slots=True)
class Erased:
    """What was there of records before they were emptied, or would go.

    Args:
        members: records that had their names still.
        statements: what they had said of themselves.
        keys: hashes by which they were found.
        notes: changes told to the log that named them.
    """

    members: int
    statements: int
    keys: int
    notes: int


class RecordEraser(Protocol):
    """Empties records."""

    async def erase(self, tenant_id: TenantId, records: Sequence[RecordId], *, dry_run: bool) -> Erased:
        """Empty *records*, or count what would go; unknown ones are none."""
        ...


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A record of an entity."""

    ref: RecordRef
    rule: str
    resolve_time: dt.datetime
    group_id: GroupId


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """An open merge candidate; seq is its place in the list, weights the version by which it was found."""

    seq: int
    entity_id: EntityId
    other_entity_id: EntityId
    object: str
    rule: str
    ref: RecordRef
    other_ref: RecordRef
    bits: float
    blocked_by: str
    question: Question
    weights: int = 0


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


class Transaction(Protocol):
    """A transaction in which nobody else of the tenant resolves, merges or splits."""

    @property
    def tenant_id(self) -> TenantId:
        """Whose it is."""
        ...

    async def list_known(self, told: Mapping[RecordId, int | None]) -> Mapping[RecordId, KnownRecord]:
        """Return those records that are resolved; see `IdentityStore.list_known`."""
        ...

    async def look_up(self, records: Sequence[RecordId], keys: Sequence[int]) -> Looked:
        """Return what is known of *records*, and who else has their keys or *keys*."""
        ...

    async def load_near(self, wanted: Wanted, near_max: int, *, keys: bool) -> Near:
        """Return the neighbourhood of records, with their keys if asked."""
        ...

    async def write(self, plan: Plan, now: dt.datetime) -> None:
        """Write what a batch comes to, its merges aside."""
        ...

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

    async def list_some_records(self, entities: Sequence[EntityId], rows_max: int) -> Sequence[RecordId]:
        """Return records of entities, those resolved first."""
        ...

    async def list_moved_back(self, merge_id: uuid.UUID) -> Sequence[tuple[RecordId, RecordRef]]:
        """Return the records that a split of the merge moves back."""
        ...

    async def write_merge(self, merge: Merge, actor: Actor, reason: str, change: Change) -> None:
        """Move the loser's records and the exclusive keys they hold, and write the merge and its change down."""
        ...

    async def write_split(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, change: Change
    ) -> None:
        """Move records back, tell the two entities apart, and write the split and its change down."""
        ...


class IdentityStore(Protocol):
    """Where entities are kept."""

    def alone(self, tenant_id: TenantId, timeout_s: float | None) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[IdentityStore]:
        """Open the store as of one moment, for questions that look at it more than once."""
        ...

    async def list_known(
        self, tenant_id: TenantId, told: Mapping[RecordId, int | None]
    ) -> Mapping[RecordId, KnownRecord]:
        """Return those records that are resolved, all as of one moment; nothing is locked.

        Args:
            told: digests of what they say now, by record; None where nothing is said. Of one that said the same last, and
                where none says anything, only where it is is read.
        """
        ...

    async def look_up(self, tenant_id: TenantId, keys: Sequence[int]) -> Looked:
        """Return who has *keys* now."""
        ...

    async def load_near(self, tenant_id: TenantId, wanted: Wanted, near_max: int, *, keys: bool) -> Near:
        """Return the neighbourhood of records as it is now."""
        ...

    async def list_uses(self, tenant_id: TenantId, keys: Sequence[int]) -> Mapping[int, KeyUse]:
        """Return those of *keys* that say less than others."""
        ...

    async def list_edge_weights(self, tenant_id: TenantId, records: Sequence[RecordId]) -> Mapping[Pair, int]:
        """Return the version of the weights by which the pairs of *records*, as the lower one, were scored last."""
        ...

    async def find_ref(
        self, tenant_id: TenantId, record_id: RecordId
    ) -> tuple[RecordRef, EntityId, GroupId] | None:
        """Return a record's name, entity and group, or None when it is unknown."""
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
        """Return a record as it is compared, or None when it is unknown."""
        ...

    async def find_side_of_entity(self, tenant_id: TenantId, entity_id: EntityId) -> Side | None:
        """Return an entity by its records as they are compared, or None when it is unknown."""
        ...

    async def list_candidates(
        self, tenant_id: TenantId, after_seq: int, rows_max: int
    ) -> Sequence[CandidateRow]:
        """Return open candidates after a place in the list, oldest first."""
        ...

    async def count(self, tenant_id: TenantId) -> tuple[Sequence[ObjectCount], int]:
        """Return counts by object and the number of open candidates."""
        ...


class ReviewTransaction(Transaction, Protocol):
    """A transaction in which nobody else of the tenant decides, either."""

    async def find_review(self, seq: int) -> Review | None:
        """Return a candidate, open or closed, or None when it is unknown."""
        ...

    async def find_action(self, action_id: uuid.UUID) -> Action | None:
        """Return an action, or None when it is unknown."""
        ...

    async def find_action_of_request(self, request_id: uuid.UUID) -> Action | None:
        """Return the action that a request led to, or None."""
        ...

    async def list_actions(self, candidate_seq: int, rows_max: int) -> Sequence[Action]:
        """Return what was done about a candidate, newest first."""
        ...

    async def write_action(self, action: Action) -> None:
        """Write an action down."""
        ...

    async def settle_review(
        self, seq: int, close_time: dt.datetime | None, skip_time: dt.datetime | None, assignee: str
    ) -> None:
        """Close a candidate, open it again, skip or assign it."""
        ...

    async def tell_apart(self, action: Action, first: Sequence[RecordId], second: Sequence[RecordId]) -> None:
        """Tell the records of two entities apart from now on."""
        ...

    async def untell_apart(self, cause_id: uuid.UUID) -> None:
        """Take back what an action or a split told apart."""
        ...

    async def forget_split(self, merge: Merge, records: Sequence[RecordId]) -> None:
        """Leave a merge and its split without a trace in what is told apart and asked."""
        ...

    async def keep_before(self, action: Action, records: Sequence[RecordId]) -> None:
        """Write down what an action is about to touch: the groups of *records*, who holds exclusive keys."""
        ...

    async def restore_before(self, action_id: uuid.UUID) -> None:
        """Give groups of the same records as before an action their ids again, and entities their exclusive keys."""
        ...

    async def list_refs_of(self, records: Sequence[RecordId]) -> Sequence[RecordRef]:
        """Return the names of records."""
        ...

    async def find_parting_merge(self, first: RecordId, second: RecordId) -> Merge | None:
        """Return the latest standing merge whose undoing parts two records of one entity, or None."""
        ...

    async def write_part(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, reason: str, now: dt.datetime
    ) -> Merge:
        """Write records down as if *merge* had brought them from a new entity, its loser, so that it can be undone."""
        ...


class ReviewStore(Protocol):
    """Where candidates and what was decided about them are kept."""

    @property
    def entities(self) -> IdentityStore:
        """Where their entities are kept."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[ReviewStore]:
        """Open the store, with that of the entities, as of one moment, for questions only."""
        ...

    def alone(
        self, tenant_id: TenantId, timeout_s: float | None
    ) -> AbstractAsyncContextManager[ReviewTransaction]:
        """Open a transaction that has the tenant alone; commits at the end of the block."""
        ...

    async def list_reviews(
        self,
        tenant_id: TenantId,
        object_name: str,
        assignee: str,
        now: dt.datetime | None,
        thresholds: Thresholds,
        rows_max: int,
    ) -> Sequence[Review]:
        """Return open candidates, those closest to their threshold, in no order; of all objects or people where empty.

        Args:
            now: leaves out those skipped until later; None shows them.
        """
        ...

    async def find_review(self, tenant_id: TenantId, seq: int) -> Review | None:
        """Return a candidate, open or closed, or None when it is unknown."""
        ...

    async def list_actions(
        self, tenant_id: TenantId, candidate_seq: int, before_seq: int, rows_max: int
    ) -> Sequence[Action]:
        """Return what was done before a place in the audit, newest first; about all candidates when 0."""
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
