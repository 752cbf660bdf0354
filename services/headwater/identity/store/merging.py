"""The transaction in which a merge or a split happens, change included."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from headwater.identity.domain.merging import Actor, Change, EntityState, Merge
from headwater.identity.domain.records import RecordId, RecordRef
from headwater.identity.store.rows import entity_of, merge_of, ref_of
from headwater.identity.store.session import Session
from headwater.kernel.ids import EntityId, TenantId


@dataclass(frozen=True, slots=True)
class PostgresMergeTransaction:
    """A merging transaction under way."""

    session: Session
    tenant_id: TenantId

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

    async def list_moved_back(self, merge_id: uuid.UUID) -> Sequence[tuple[RecordId, RecordRef]]:
        rows = await self.session.fetch("list_moved_back", self.tenant_id, merge_id)
        return [(row["record_id"], ref_of(row)) for row in rows]

    async def write_merge(self, merge: Merge, actor: Actor, reason: str, change: Change) -> None:
        run, tenant_id = self.session.fetch, self.tenant_id
        await run(
            "insert_merge",
            tenant_id,
            merge.merge_id,
            merge.object,
            merge.winner_id,
            merge.loser_id,
            merge.moved_count,
            change.change_time,
            *_actor_columns(actor),
            reason,
        )
        await run("insert_merge_members", tenant_id, merge.merge_id, merge.loser_id)
        await run("move_members", tenant_id, merge.loser_id, merge.winner_id)
        await run("set_merged_into", tenant_id, merge.loser_id, merge.winner_id)
        await self._insert_change(change)

    async def write_split(
        self, merge: Merge, records: Sequence[RecordId], actor: Actor, change: Change
    ) -> None:
        run, tenant_id = self.session.fetch, self.tenant_id
        await run("move_back", tenant_id, records, merge.loser_id, rows=len(records))
        await run("release_moves", tenant_id, records, merge.seq, rows=len(records))
        await run("set_merged_into", tenant_id, merge.loser_id, None)
        await run(
            "mark_split", tenant_id, merge.merge_id, change.change_time, len(records), *_actor_columns(actor)
        )
        await run("close_candidate", tenant_id, merge.winner_id, merge.loser_id, change.change_time)
        await self._insert_change(change)

    async def _insert_change(self, change: Change) -> None:
        await self.session.fetch(
            "insert_change",
            self.tenant_id,
            change.change_id,
            change.merge_id,
            change.payload,
            change.change_time,
            *_actor_columns(change.actor),
            change.traceparent,
            change.tracestate,
        )


def _actor_columns(actor: Actor) -> tuple[int, str, str]:
    return actor.type, actor.id, actor.display_name
