"""Questions about entities: members, explanations, candidates, counts. Writes nothing.

A question is answered as of one moment: a merge that comes between two look-ups would show an entity
that a record has left already, without records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headwater.identity.domain.explaining import Explanation, Side, explain, strong_hashes
from headwater.identity.domain.merging import EntityState
from headwater.identity.domain.records import RecordRef, record_id_of
from headwater.identity.domain.resolving.values import pair_of
from headwater.identity.domain.scoring.versions import number_of
from headwater.identity.ports import CandidateRow, IdentityStore, MemberRow, ObjectCount
from headwater.identity.weights_ports import WeightsSource
from headwater.kernel.errors import NotFound
from headwater.kernel.ids import EntityId, TenantId

Subject = EntityId | RecordRef
"""An entity, or one of its records."""


@dataclass(frozen=True, slots=True)
class EntityView:
    """An entity with its records."""

    state: EntityState
    members: Sequence[MemberRow]


@dataclass(frozen=True, slots=True)
class Questions:
    """Answers questions about a tenant's entities."""

    store: IdentityStore
    weights: WeightsSource

    async def get_entity(self, tenant_id: TenantId, subject: Subject) -> EntityView:
        """Return an entity with its records.

        Raises:
            NotFound: the entity or the record is unknown.
        """
        async with self.store.snapshot() as store:
            return await view_of(store, tenant_id, subject)

    async def explain(self, tenant_id: TenantId, left: Subject, right: Subject) -> Explanation:
        """Say what two records or entities share, in bits by field, and whether it joins them.

        A pair that was scored before is explained by the weights that scored it, while those are kept.

        Raises:
            NotFound: one of them is unknown.
        """
        weights = await self.weights.of(tenant_id)
        async with self.store.snapshot() as store:
            ours, theirs = await _side(store, tenant_id, left), await _side(store, tenant_id, right)
            parts = [one.parts for side in (ours, theirs) for one in side.records]
            uses = await store.list_uses(tenant_id, strong_hashes(ours.object, parts))
            records = [one.record_id for side in (ours, theirs) for one in side.records]
            scored_with = await store.list_edge_weights(tenant_id, records)
        found = explain(ours, theirs, uses, weights)
        if found.pair is None:
            return found
        number = scored_with.get(pair_of(*found.pair))
        if number is None or number == number_of(found.score.version):
            return found
        then = await self.weights.find(tenant_id, ours.object, number)
        if then is None:
            return found
        return explain(ours, theirs, uses, {**weights, ours.object: then}, found.pair)

    async def list_candidates(
        self, tenant_id: TenantId, after_seq: int, page_size: int
    ) -> tuple[Sequence[CandidateRow], int | None]:
        """Return one page of open candidates, and where the next page begins; None on the last one."""
        rows = await self.store.list_candidates(tenant_id, after_seq, page_size + 1)
        page = rows[:page_size]
        return page, page[-1].seq if len(rows) > page_size else None

    async def count(self, tenant_id: TenantId) -> tuple[Sequence[ObjectCount], int]:
        """Return counts by object and the number of open candidates."""
        async with self.store.snapshot() as store:
            return await store.count(tenant_id)


async def view_of(store: IdentityStore, tenant_id: TenantId, subject: Subject) -> EntityView:
    """Return an entity with its records.

    Raises:
        NotFound: the entity or the record is unknown.
    """
    entity_id: EntityId | None
    if isinstance(subject, RecordRef):
        entity_id = await store.find_entity_of_record(tenant_id, record_id_of(tenant_id, subject))
    else:
        entity_id = subject
    state = None if entity_id is None else await store.find_entity(tenant_id, entity_id)
    if state is None:
        raise _unknown(subject)
    return EntityView(state, await store.list_members(tenant_id, state.entity_id))


async def _side(store: IdentityStore, tenant_id: TenantId, subject: Subject) -> Side:
    if isinstance(subject, RecordRef):
        side = await store.find_side_of_record(tenant_id, record_id_of(tenant_id, subject))
    else:
        side = await store.find_side_of_entity(tenant_id, subject)
    if side is None:
        raise _unknown(subject)
    return side


def _unknown(subject: Subject) -> NotFound:
    if isinstance(subject, RecordRef):
        return NotFound(
            f"no record {subject.external_id!r} of {subject.source}/{subject.object} was resolved",
            metadata=subject._asdict(),
        )
    return NotFound(f"there is no entity {subject}", metadata={"entity_id": str(subject)})
