"""Why two records or entities are one or two: field by field, in bits that add up to the score exactly. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.clustering.conflicts import conflict, names_fit
from headwater.identity.domain.clustering.guards import NAME, Guards
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.tiers import REVIEW_BITS_MIN, Merging, Tier
from headwater.identity.domain.identifying import COMPARED, watched_hash
from headwater.identity.domain.records import GroupId, RecordId, RecordRef
from headwater.identity.domain.resolving.values import KeyUse
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.scores import Score, explain_score
from headwater.identity.domain.scoring.weights import Weights
from headwater.kernel.ids import EntityId

GENERIC: Final = "generic"
TOO_COMMON: Final = "too_common"
WEAK: Final = "weak"
CONFLICT: Final = "conflict"
NO_SCORE: Final = Score(0.0, (), "")


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key that two sides have; blocked_by says why it does not join, empty when it does."""

    kind: str
    value: str
    blocked_by: str = ""


@dataclass(frozen=True, slots=True)
class SideRecord:
    """One record of a side."""

    record_id: RecordId
    ref: RecordRef
    entity_id: EntityId
    group_id: GroupId
    parts: Parts


@dataclass(frozen=True, slots=True)
class Side:
    """One of two things to compare: a record, or an entity by its records."""

    entity_id: EntityId
    object: str
    records: Sequence[SideRecord]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What two sides share and what follows.

    Args:
        score: of the best pair of their records, left and right; pair: the ids of the two.
    """

    same_entity: bool
    same_group: bool
    shared: tuple[SharedKey, ...]
    rule: str
    verdict: str
    tier: Tier
    score: Score = NO_SCORE
    left: RecordRef | None = None
    right: RecordRef | None = None
    pair: tuple[RecordId, RecordId] | None = None


def strong_hashes(object_name: str, records: Iterable[Parts]) -> list[int]:
    """Return the hashes of the strong keys of *records*, to ask which say less."""
    return [watched_hash(object_name, *key) for one in records for key in one.strong]


def explain(
    left: Side,
    right: Side,
    uses: Mapping[int, KeyUse],
    weights: Mapping[str, Weights],
    pair: tuple[RecordId, RecordId] | None = None,
) -> Explanation:
    """Compare two sides by their best pair of records.

    Args:
        uses: of their strong keys, those that say less than others.
        pair: the records to compare in place of the best ones, left and right.
    """
    same = left.entity_id == right.entity_id
    if left.object != right.object:
        verdict = f"Two objects, {left.object} and {right.object}, are never one entity."
        return Explanation(same, False, (), "", verdict, Tier.NEW)
    group = not {one.group_id for one in left.records}.isdisjoint(one.group_id for one in right.records)
    if left.object not in COMPARED or not left.records or not right.records:
        return Explanation(same, group, (), "", _NOT_COMPARED[same], Tier.MERGE if same else Tier.NEW)
    shared = frozenset(use.value for use in uses.values() if use.generic)
    lefts = [one for one in left.records if pair is None or one.record_id == pair[0]]
    rights = [one for one in right.records if pair is None or one.record_id == pair[1]]
    score, ours, theirs = best_pair(lefts, rights, weights[left.object], shared)
    keys = shared_keys(left, right, uses)
    merging = Merging({"ours": ours.parts, "theirs": theirs.parts}, shared)
    tie = merging.tie(ours.parts, theirs.parts)
    rule = f"{left.object}.{tie}" if tie else ""
    tier = _tier(score.bits, merging, same=same, group=group)
    against = against_merge(ours.parts, theirs.parts, shared)
    verdict = _verdict(same, group, score.bits, rule, against)
    compared = ours.record_id, theirs.record_id
    return Explanation(same, group, keys, rule, verdict, tier, score, ours.ref, theirs.ref, compared)


def best_pair(
    left: Sequence[SideRecord], right: Sequence[SideRecord], weights: Weights, shared: AbstractSet[str]
) -> tuple[Score, SideRecord, SideRecord]:
    """Return the pair of two sides with most bits, and where they come from; no record with itself if it can be."""
    best: tuple[Score, SideRecord, SideRecord] | None = None
    for one in left:
        for other in right:
            if one.record_id == other.record_id and len(left) + len(right) > 2:  # noqa: PLR2004 - one each
                continue
            score = explain_score(one.parts, other.parts, weights, shared)
            if best is None or score.bits > best[0].bits:
                best = score, one, other
    if best is None:
        raise ValueError("a side without records has no best pair")
    return best


def shared_keys(left: Side, right: Side, uses: Mapping[int, KeyUse]) -> tuple[SharedKey, ...]:
    """Return the identifiers that both sides have, strongest first."""
    ours = dict.fromkeys(key for one in left.records for key in one.parts.strong)
    theirs = {key for one in right.records for key in one.parts.strong}
    return tuple(
        SharedKey(kind, value, blocked(uses.get(watched_hash(left.object, kind, value))))
        for kind, value in ours
        if (kind, value) in theirs
    )


def blocked(use: KeyUse | None) -> str:
    """Return why a key does not join, by its use."""
    if use is None:
        return ""
    return GENERIC if use.generic else TOO_COMMON


def against_merge(ours: Parts, theirs: Parts, shared: AbstractSet[str]) -> str:
    """Return what stands against two records being one, or nothing."""
    guards = Guards({"ours": ours, "theirs": theirs}, Rules(), shared=shared)
    reason = guards(("ours",), ("theirs",))
    if not reason and not names_fit(ours, theirs):
        return NAME
    if not reason and conflict(ours, theirs):
        return CONFLICT
    return reason or Merging({}, shared).weakness(ours, theirs)


def _tier(bits: float, merging: Merging, *, same: bool, group: bool) -> Tier:
    if same or merging.allows("ours", "theirs", bits):
        return Tier.MERGE
    if group:
        return Tier.LINK
    return Tier.REVIEW if bits >= REVIEW_BITS_MIN else Tier.NEW


_NOT_COMPARED: Final = {
    True: "They are one entity; their records are never compared.",
    False: "They are two entities; their records are never compared.",
}


def _verdict(same: bool, group: bool, bits: float, rule: str, against: str) -> str:  # noqa: FBT001
    said = f"their best pair of records has {bits:.1f} bits"
    tie = f" and shares {rule}" if rule else " and shares no identifier"
    doubt = f"; against it: {against}" if against else ""
    if same:
        return f"They are one entity: {said}{tie}{doubt}."
    if group:
        return f"They are two entities of one group: {said}{tie}{doubt}."
    return f"They are two entities: {said}{tie}{doubt}."
