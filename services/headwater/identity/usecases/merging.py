"""Merging and splitting entities, each with its change for the event log in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from headwater.identity.domain.merging import (
    Actor,
    Change,
    EntityState,
    Merge,
    change_payload,
    merged_already,
)
from headwater.identity.ports import IdentityStore, MergeTransaction, Wake
from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound
from headwater.kernel.ids import EntityId, TenantId
from headwater.kernel.telemetry import TraceContext


@dataclass(frozen=True, slots=True)
class Merger:
    """Merges and splits."""

    store: IdentityStore
    clock: Clock
    new_id: Callable[[], uuid.UUID]
    trace: Callable[[], TraceContext | None]
    wake: Wake

    async def merge(
        self,
        tenant_id: TenantId,
        winner_id: EntityId,
        loser_id: EntityId,
        actor: Actor,
        reason: str,
        timeout_s: float | None,
    ) -> Merge:
        """Move every record of the loser to the winner; idempotent.

        Raises:
            NotFound: one of the two is unknown.
            PreconditionFailed: of different objects, one is in a third entity, or too large.
        """
        async with self.store.merging(tenant_id, timeout_s) as transaction:
            winner = await _entity(transaction, winner_id)
            loser = await _entity(transaction, loser_id)
            if merged_already(winner, loser):
                standing = await transaction.find_standing_merge(loser_id)
                if standing is not None:
                    return standing
            merge = await self._write_merge(transaction, winner, loser, actor, reason)
        self.wake.notify()
        return merge

    async def _write_merge(
        self,
        transaction: MergeTransaction,
        winner: EntityState,
        loser: EntityState,
        actor: Actor,
        reason: str,
    ) -> Merge:
        moved = await transaction.list_refs(loser.entity_id)
        merge = Merge(
            self.new_id(),
            0,
            loser.object,
            winner.entity_id,
            loser.entity_id,
            len(moved),
            split_moved_count=None,
        )
        payload = change_payload(
            "merged",
            merge_id=merge.merge_id,
            object_name=merge.object,
            winner_id=merge.winner_id,
            loser_id=merge.loser_id,
            moved=moved,
        )
        await transaction.write_merge(merge, actor, reason, self._change(merge, payload, actor))
        return merge

    async def split(
        self, tenant_id: TenantId, merge_id: uuid.UUID, actor: Actor, timeout_s: float | None
    ) -> tuple[EntityId, int]:
        """Undo one merge exactly; idempotent.

        Returns:
            The entity that stands for itself again, and the number of records moved back.

        Raises:
            NotFound: the merge is unknown.
        """
        async with self.store.merging(tenant_id, timeout_s) as transaction:
            merge = await transaction.find_merge(merge_id)
            if merge is None:
                raise NotFound(f"there is no merge {merge_id}", metadata={"merge_id": str(merge_id)})
            if merge.split_moved_count is not None:
                return merge.loser_id, merge.split_moved_count
            moved = await transaction.list_moved_back(merge_id)
            payload = change_payload(
                "split",
                merge_id=merge_id,
                object_name=merge.object,
                winner_id=merge.winner_id,
                loser_id=merge.loser_id,
                moved=[ref for _, ref in moved],
            )
            records = [record for record, _ in moved]
            await transaction.write_split(merge, records, actor, self._change(merge, payload, actor))
        self.wake.notify()
        return merge.loser_id, len(moved)

    def _change(self, merge: Merge, payload: bytes, actor: Actor) -> Change:
        trace = self.trace()
        return Change(
            change_id=self.new_id(),
            merge_id=merge.merge_id,
            payload=payload,
            change_time=self.clock.now(),
            actor=actor,
            traceparent=trace.traceparent if trace else "",
            tracestate=trace.tracestate if trace else "",
        )


async def _entity(transaction: MergeTransaction, entity_id: EntityId) -> EntityState:
    found = await transaction.find_entity(entity_id)
    if found is None:
        raise NotFound(f"there is no entity {entity_id}", metadata={"entity_id": str(entity_id)})
    return found
