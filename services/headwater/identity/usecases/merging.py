"""Merging and splitting entities, each with its change for the event log in one transaction.

A person's word stands: what was split is told apart from then on, and what was merged again is not.
The groups of the records are made anew in the same transaction.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.identifying import COMPARED
from headwater.identity.domain.merging import (
    Actor,
    EntityState,
    Merge,
    answered_before,
    merge_id_of,
    merged_already,
)
from headwater.identity.domain.records import RecordId, RecordRef
from headwater.identity.domain.resolving.plan import replan
from headwater.identity.domain.resolving.values import Limits, Wanted
from headwater.identity.ports import IdentityStore, Transaction, Wake
from headwater.identity.usecases.telling import Telling
from headwater.identity.weights_ports import WeightsSource
from headwater.kernel.errors import NotFound
from headwater.kernel.ids import EntityId, TenantId

SEEDS_MAX: Final = 50
"""Records of two entities from which their groups are made anew."""


@dataclass(frozen=True, slots=True)
class Merger:
    """Merges and splits."""

    store: IdentityStore
    telling: Telling
    wake: Wake
    weights: WeightsSource
    limits: Limits

    async def merge(
        self,
        tenant_id: TenantId,
        winner_id: EntityId,
        loser_id: EntityId,
        actor: Actor,
        reason: str,
        timeout_s: float | None,
        request_id: str = "",
    ) -> Merge:
        """Move every record of the loser to the winner; idempotent.

        Args:
            request_id: of a repeated request, which must not undo a split that came in between.

        Raises:
            NotFound: one of the two is unknown.
            PreconditionFailed: of different objects, one is in a third entity, too large, or the request
                merged others before.
        """
        merge_id = merge_id_of(tenant_id, request_id) if request_id else None
        await self.warm(tenant_id)
        async with self.store.alone(tenant_id, timeout_s) as transaction:
            if merge_id is not None and (before := await transaction.find_merge(merge_id)) is not None:
                return answered_before(before, winner_id, loser_id)
            winner = await entity_in(transaction, winner_id)
            loser = await entity_in(transaction, loser_id)
            if merged_already(winner, loser):
                standing = await transaction.find_standing_merge(loser_id)
                if standing is not None:
                    return standing
            merge, _ = await self.merge_in(transaction, winner, loser, actor, reason, merge_id)
        self.wake.notify()
        return merge

    async def merge_in(
        self,
        transaction: Transaction,
        winner: EntityState,
        loser: EntityState,
        actor: Actor,
        reason: str,
        merge_id: uuid.UUID | None = None,
    ) -> tuple[Merge, Sequence[RecordRef]]:
        """Merge two entities that stand for themselves in a transaction under way; return what moved, too."""
        moved = await transaction.list_refs(loser.entity_id)
        merge = self.telling.merge(loser.object, winner.entity_id, loser.entity_id, len(moved), merge_id)
        change = self.telling.change("merged", merge, moved, actor)
        await transaction.write_merge(merge, actor, reason, change)
        await self.regroup(transaction, merge.object, (merge.winner_id, merge.loser_id))
        return merge, moved

    async def split(
        self, tenant_id: TenantId, merge_id: uuid.UUID, actor: Actor, timeout_s: float | None
    ) -> tuple[EntityId, int]:
        """Undo one merge exactly, and tell the two entities apart from now on; idempotent.

        Returns:
            The entity that stands for itself again, and the number of records moved back.

        Raises:
            NotFound: the merge is unknown.
        """
        await self.warm(tenant_id)
        async with self.store.alone(tenant_id, timeout_s) as transaction:
            merge = await transaction.find_merge(merge_id)
            if merge is None:
                raise NotFound(f"there is no merge {merge_id}", metadata={"merge_id": str(merge_id)})
            if merge.split_moved_count is not None:
                return merge.loser_id, merge.split_moved_count
            moved = await self.split_in(transaction, merge, actor)
            await self.regroup(transaction, merge.object, (merge.winner_id, merge.loser_id))
        self.wake.notify()
        return merge.loser_id, len(moved)

    async def split_in(
        self, transaction: Transaction, merge: Merge, actor: Actor
    ) -> Sequence[tuple[RecordId, RecordRef]]:
        """Undo a standing merge in a transaction under way; the groups are left as they are."""
        moved = await transaction.list_moved_back(merge.merge_id)
        change = self.telling.change("split", merge, [ref for _, ref in moved], actor)
        await transaction.write_split(merge, [record for record, _ in moved], actor, change)
        return moved

    async def warm(self, tenant_id: TenantId) -> None:
        """Have a tenant's weights at hand before a transaction that groups: it must not wait for a second connection."""
        await self.weights.of(tenant_id)

    async def regroup(self, transaction: Transaction, object_name: str, entities: Sequence[EntityId]) -> None:
        """Make the groups of entities anew, as evidence and people's decisions now stand."""
        if object_name not in COMPARED:
            return
        standing = {await _standing(transaction, one): None for one in entities}
        seeds = await transaction.list_some_records(list(standing), SEEDS_MAX)
        near = await transaction.load_near(
            Wanted(frozenset(seeds), frozenset()), self.limits.near_max, keys=False
        )
        weights = await self.weights.of(transaction.tenant_id)
        plan = replan(near, weights, self.limits, object_name, self.telling.new_id)
        await transaction.write(plan, self.telling.clock.now())


async def entity_in(transaction: Transaction, entity_id: EntityId) -> EntityState:
    """Return an entity as it stands.

    Raises:
        NotFound: it is unknown.
    """
    found = await transaction.find_entity(entity_id)
    if found is None:
        raise NotFound(f"there is no entity {entity_id}", metadata={"entity_id": str(entity_id)})
    return found


async def _standing(transaction: Transaction, entity_id: EntityId) -> EntityId:
    """Return the entity that has the records of another one now.

    Raises:
        NotFound: it is unknown.
        RuntimeError: entities are merged into each other in a ring, which nobody who has the tenant alone can write.
    """
    found = await entity_in(transaction, entity_id)
    passed = {found.entity_id: None}
    while found.merged_into is not None:
        found = await entity_in(transaction, found.merged_into)
        if found.entity_id in passed:
            ring = ", ".join(map(str, passed))
            raise RuntimeError(f"entities of {transaction.tenant_id} are merged in a ring: {ring}")
        passed[found.entity_id] = None
    return found.entity_id
