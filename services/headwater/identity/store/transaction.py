"""The transaction in which a tenant's records are resolved, or its entities merged and split, change included."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.merging import Actor, Change, EntityState, Merge
from headwater.identity.domain.records import RecordId, RecordRef
from headwater.identity.domain.resolving.values import KnownRecord, Limits, Looked, Near, Plan, Wanted
from headwater.identity.store.resolving import read_known, read_looked, read_near, write_plan
from headwater.identity.store.rows import entity_of, merge_of, ref_of
from headwater.identity.store.session import Session
from headwater.kernel.ids import EntityId, TenantId

TOLD_APART_MAX: Final = 200
"""Pairs of records that one split tells apart."""


@dataclass(frozen=True, slots=True)
class PostgresTransaction:
    """A transaction under way that has the tenant alone."""

    session: Session
    tenant_id: TenantId
    limits: Limits

    async def list_known(self, told: Mapping[RecordId, int | None]) -> Mapping[RecordId, KnownRecord]:
        return await read_known(self.session, self.tenant_id, told)

    async def look_up(self, records: Sequence[RecordId], keys: Sequence[int]) -> Looked:
        rows_max = self.limits.key_rows_max + 1
        return await read_looked(self.session, self.tenant_id, records, keys, rows_max)

    async def load_near(self, wanted: Wanted, near_max: int, *, keys: bool) -> Near:
        return await read_near(self.session, self.tenant_id, wanted, near_max, keys=keys)

    async def write(self, plan: Plan, now: dt.datetime) -> None:
        await write_plan(self.session, self.tenant_id, plan, now)

    async def find_entity(self, entity_id: EntityId) -> EntityState | None:
        row = await self.session.fetch_one("find_entity", self.tenant_id, entity_id)
        return None if row is None else entity_of(row)

    async def find_merge(self, merge_id: uuid.UUID) -> Merge | None:
        row = await self.session.fetch_one("find_merge", self.tenant_id, merge_id)
        return None if row is None else merge_of(row)

    async def find_standing_merge(self, loser_id: EntityId) -> Merge | None:
        row = await self.session.fetch_one("find_standing_merge", self.tenant_id, loser_id)
        return None if row is None else merge_of(row)

    async def list_refs(self, entity_id: EntityId) -> Sequence[RecordRef]:
        return [ref_of(row) for row in await self.session.fetch("list_members", self.tenant_id, entity_id)]

    async def list_some_records(self, entities: Sequence[EntityId], rows_max: int) -> Sequence[RecordId]:
        rows = await self.session.fetch("list_some_records", self.tenant_id, entities, rows_max)
        return [row["record_id"] for row in rows]

    async def list_moved_back(self, merge_id: uuid.UUID) -> Sequence[tuple[RecordId, RecordRef]]:
        rows = await self.session.fetch("list_moved_back", self.tenant_id, merge_id)
        return [(row["record_id"], ref_of(row)) for row in rows]

    async def write_merge(self, merge: Merge, actor: Actor, reason: str, change: Change) -> None:
        await self.session.fetch(
            "write_merge",
            self.tenant_id,
            merge.merge_id,
            merge.object,
            merge.winner_id,
            merge.loser_id,
            merge.moved_count,
            change.change_time,
            *actor_columns(actor),
            reason,
        )
        await self._insert_change(change)

    async def write_split(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, change: Change
    ) -> None:
        await self.session.fetch(
            "write_split",
            self.tenant_id,
            merge.merge_id,
            merge.seq,
            records,
            merge.winner_id,
            merge.loser_id,
            change.change_time,
            *actor_columns(actor),
            TOLD_APART_MAX,
            rows=len(records),
        )
        await self._insert_change(change)

    async def _insert_change(self, change: Change) -> None:
        await self.session.fetch(
            "insert_change",
            self.tenant_id,
            change.change_id,
            change.merge_id,
            change.payload,
            change.change_time,
            *actor_columns(change.actor),
            change.traceparent,
            change.tracestate,
        )


def actor_columns(actor: Actor) -> tuple[int, str, str]:
    """Return who acts, as statements take it."""
    return actor.type, actor.id, actor.display_name
