"""Is there one already? Answers before a create, as resolving the record would; writes nothing, locks nothing."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headwater.identity.domain.clustering.tiers import REVIEW_BITS_MIN, Tier
from headwater.identity.domain.explaining import WEAK, SharedKey, blocked
from headwater.identity.domain.identifying import COMPARED, SHIPPED, Identified, Normaliser, salt_of
from headwater.identity.domain.normalising import Normal, keys_of
from headwater.identity.domain.records import GroupId, RecordId, RecordRef
from headwater.identity.domain.resolving.grouping import group
from headwater.identity.domain.resolving.placing import Placing
from headwater.identity.domain.resolving.plan import Batch
from headwater.identity.domain.resolving.values import Incoming, Limits
from headwater.identity.domain.scoring.weights import Weights
from headwater.identity.ports import IdentityStore
from headwater.identity.usecases.asking import EntityView, view_of
from headwater.identity.weights_ports import WeightsSource
from headwater.kernel.errors import NotFound
from headwater.kernel.ids import EntityId, EventKey, TenantId

CANDIDATES_MAX: Final = 5
"""Entities that one answer names."""
PROBE: Final = RecordId("00000000-0000-0000-0000-000000000000")
"""Stands for the record to be created: no record has this id, which is no version 5."""


class Answer(StrEnum):
    """What a caller should do."""

    EXISTS = "exists"
    SIMILAR = "similar"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An entity that the record is or may be."""

    entity: EntityView
    group_id: GroupId
    tier: Tier
    bits: float
    rule: str
    record: RecordRef
    shared: tuple[SharedKey, ...]


@dataclass(frozen=True, slots=True)
class DuplicateAnswer:
    """What a record about to be created meets, best first."""

    answer: Answer
    candidates: Sequence[Duplicate]


@dataclass(frozen=True, slots=True)
class _Found:
    """The best pair with one entity."""

    tier: Tier
    bits: float
    record: RecordId


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks records that are about to be created."""

    store: IdentityStore
    weights: WeightsSource
    limits: Limits
    rules: Normaliser = SHIPPED

    async def check(
        self, tenant_id: TenantId, object_name: str, attributes: Mapping[str, str]
    ) -> DuplicateAnswer:
        """Say whether a record with these attributes exists already, and what is like it, all as of one moment."""
        told = self.rules.identify(object_name, attributes)
        if object_name not in COMPARED or not told.keys:
            return DuplicateAnswer(Answer.NEW, ())
        weights = await self.weights.of(tenant_id)
        async with self.store.snapshot() as store:
            return await self._check(store, tenant_id, object_name, attributes, told, weights)

    async def _check(
        self,
        store: IdentityStore,
        tenant_id: TenantId,
        object_name: str,
        attributes: Mapping[str, str],
        told: Identified,
        weights: Mapping[str, Weights],
    ) -> DuplicateAnswer:
        ref = RecordRef("", object_name, "")
        incoming = Incoming(PROBE, ref, EventKey(uuid.UUID(int=0)), told)
        looked = await store.look_up(tenant_id, told.keys)
        batch = Batch([incoming], looked, weights, self.limits)
        (compared,) = batch.comparisons
        wanted = compared.wanted()
        near = await store.load_near(tenant_id, wanted, self.limits.near_max, keys=batch.needs_keys)
        placing = Placing(group(compared, near), {PROBE: incoming}, self.limits)
        placing.run()
        best = _best(placing)
        if not best:
            return DuplicateAnswer(Answer.NEW, ())
        normal = self.rules.normal_form(object_name, attributes)
        candidates = [await _duplicate(store, tenant_id, placing, found, normal) for found in best]
        answer = Answer.EXISTS if best[0].tier is Tier.MERGE else Answer.SIMILAR
        return DuplicateAnswer(answer, candidates)


async def _duplicate(
    store: IdentityStore,
    tenant_id: TenantId,
    placing: Placing,
    found: _Found,
    normal: Normal,
) -> Duplicate:
    stands = await store.find_ref(tenant_id, found.record)
    if stands is None:
        raise NotFound(f"record {found.record} has gone meanwhile")
    ref, entity_id, group_id = stands
    view = await view_of(store, tenant_id, entity_id)
    shared = _shared(placing, found.record, normal)
    rule = placing.rule(PROBE, found.record)
    return Duplicate(view, group_id, found.tier, found.bits, rule, ref, shared)


def _best(placing: Placing) -> list[_Found]:
    """Return the best pair with each entity that the record is, is linked to, or is like; best first."""
    near = next((one for one in placing.grouping.groups.groups if PROBE in one), ())
    home = None if PROBE in placing.founded else placing.entity_of.get(PROBE)
    found: dict[EntityId | RecordId, _Found] = {}
    ranks = {Tier.MERGE: 0, Tier.LINK: 1, Tier.REVIEW: 2}
    for other, bits in placing.grouping.memory.edges.get(PROBE, {}).items():
        record = RecordId(other)
        entity = placing.entity_of.get(record)
        if entity is not None and entity == home:
            tier = Tier.MERGE
        elif other in near:
            tier = Tier.LINK
        elif bits >= REVIEW_BITS_MIN:
            tier = Tier.REVIEW
        else:
            continue
        one = _Found(tier, bits, record)
        before = found.get(entity or record)
        if before is None or (ranks[tier], -bits) < (ranks[before.tier], -before.bits):
            found[entity or record] = one
    return sorted(found.values(), key=lambda one: (ranks[one.tier], -one.bits, one.record))[:CANDIDATES_MAX]


def _shared(placing: Placing, record: RecordId, normal: Normal) -> tuple[SharedKey, ...]:
    """Return the keys by which the record was met, strong ones first."""
    compared = placing.grouping.compared
    looked, keys, salt = compared.looked, keys_of(normal), salt_of(compared.object)
    found: list[SharedKey] = []
    for number, key in enumerate((*keys.strong, *keys.weak)):
        if record in looked.holders.get(key.hash ^ salt, ()):
            weak = number >= len(keys.strong)
            found.append(
                SharedKey(key.kind, key.value, WEAK if weak else blocked(looked.uses.get(key.hash ^ salt)))
            )
    return tuple(found)
