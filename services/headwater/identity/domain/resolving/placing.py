"""Which entity each new record of a batch belongs to, what merges, and what a person should look at. Pure.

Over-merging is the failure that ruins CRM data, so an entity takes in only what the merge rule allows;
all else that is likely stays linked, and every doubt ends as a pair to review.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headwater.identity.domain.clustering.conflicts import conflict, names_fit
from headwater.identity.domain.clustering.guards import CANNOT_LINK, NAME, Guards
from headwater.identity.domain.clustering.linkage import Members
from headwater.identity.domain.clustering.tiers import REVIEW_BITS_MIN, Merging, Tier, mergeable
from headwater.identity.domain.records import RecordId, RecordRef, entity_id_of
from headwater.identity.domain.resolving.grouping import Grouping
from headwater.identity.domain.resolving.values import (
    AutoMerge,
    Incoming,
    Limits,
    NewCandidate,
    Pair,
    pair_of,
)
from headwater.kernel.ids import EntityId

SIMILAR: Final = "similar"
"""Names the rule by which two records are linked that share no identifier."""
MAILBOX: Final = "mailbox_conflict"
EITHER: Final = "either_of_two"
"""Names what stands against a merge of a record that may be either of two entities told apart."""


@dataclass(frozen=True, slots=True)
class Match:
    """The best partner of a record."""

    record_id: RecordId
    bits: float
    tier: Tier
    rule: str = ""


@dataclass(slots=True)
class Placing:
    """Where the new records of one object belong.

    Args:
        entity_of: the entity of every record of the neighbourhood, merges done.
        founded: new entities, each by its founder.
        homeless: records to be found only that matched nobody.
    """

    grouping: Grouping
    incoming: Mapping[RecordId, Incoming]
    limits: Limits
    entity_of: dict[RecordId, EntityId] = field(default_factory=dict)
    founded: dict[RecordId, None] = field(default_factory=dict)
    homeless: set[RecordId] = field(default_factory=set)
    merges: list[AutoMerge] = field(default_factory=list)
    candidates: list[NewCandidate] = field(default_factory=list)
    _merging: Merging = field(init=False)
    _order: dict[RecordId, int] = field(default_factory=dict)
    """Place of each record in the batch."""
    _loose: list[tuple[Pair, float]] = field(default_factory=list)
    """Pairs that may be one, of entities that stay two until a person says so."""

    def __post_init__(self) -> None:
        """Take what the merge rule reads from the neighbourhood."""
        memory = self.grouping.memory
        self._merging = Merging(memory.parts, memory.shared)
        self._order = {one: number for number, one in enumerate(self.incoming)}

    def run(self) -> None:
        """Place all."""
        self.entity_of.update(self.grouping.entity_of)
        for members in self.grouping.groups.groups:
            if any(one in self.incoming for one in members):
                self._place(members)
        if not self.homeless:
            self.candidates.extend(self._suggest())

    def match(self, record: RecordId, group: Sequence[str]) -> Match | None:
        """Return the best partner of a record: one of its entity by an identifier, else one it is linked to.

        Of a founder, one that is not of its entity.
        """
        best: tuple[int, float, str] | None = None
        entity, founds = self.entity_of[record], record in self.founded
        for other, bits in self.grouping.memory.edges.get(record, {}).items():
            same = self.entity_of.get(RecordId(other)) == entity
            if same and founds:
                continue
            if same and self._merging.allows(record, other, bits):
                rank = 2
            elif other in group:
                rank = 1
            elif bits >= REVIEW_BITS_MIN:
                rank = 0
            else:
                continue
            best = max(best, (rank, bits, other)) if best is not None else (rank, bits, other)
        if best is None:
            return None
        rank, bits, other = best
        return Match(RecordId(other), bits, _TIERS[rank], self.rule(record, other))

    def rule(self, one: str, other: str) -> str:
        """Return the name of what ties two records: the identifier they share, or that they are similar."""
        parts = self.grouping.memory.parts
        return f"{self.grouping.compared.object}.{self._merging.tie(parts[one], parts[other]) or SIMILAR}"

    def ref(self, record: RecordId) -> RecordRef:
        """Return the name of a record of the neighbourhood."""
        known = self.grouping.near.records.get(record)
        return known.ref if known is not None else self.incoming[record].ref

    def _place(self, members: Members) -> None:
        own: dict[EntityId, list[str]] = defaultdict(list)
        for one in members:
            if one in self.grouping.entity_of:
                own[self.grouping.entity_of[RecordId(one)]].append(one)
        standing = [tuple(records) for records in own.values()]
        for part in mergeable(members, self.grouping.memory.edges, self._merging, standing):
            self._place_part([RecordId(one) for one in part])

    def _place_part(self, part: Sequence[RecordId]) -> None:
        new = [one for one in part if one in self._order and one not in self.grouping.entity_of]
        new.sort(key=self._order.__getitem__)
        entities = self._by_standing(part)
        if entities[1:] and self._may_merge(entities):
            for loser in entities[1:]:
                self._merge(part, entities[0], loser)
            entities = entities[:1]
        elif entities[1:]:
            self._loose.extend(self._ties(part))
        if not entities and all(self.incoming[one].match_only for one in new):
            self.homeless.update(new)
            return
        if not entities:
            founder = next(one for one in new if not self.incoming[one].match_only)
            self.founded[founder] = None
            entities = [entity_id_of(founder)]
        for one in new:
            self.entity_of[one] = self._closest(one, part, entities)

    def _by_standing(self, part: Sequence[RecordId]) -> list[EntityId]:
        """Return the entities of a part, the one that stays first: most records, then the oldest."""
        sizes: dict[EntityId, int] = defaultdict(int)
        for one in part:
            entity = self.grouping.entity_of.get(one)
            if entity is not None:
                sizes[entity] += 1
        ages = self.grouping.near.ages
        return sorted(sizes, key=lambda entity: (-sizes[entity], ages[entity]))

    def _may_merge(self, entities: Sequence[EntityId]) -> bool:
        if not self.limits.auto_merge or not self.grouping.near.whole:
            return False
        if any(self._waits(one) for one in entities):
            return False
        return not any(self.grouping.is_apart(one, other) for one in entities for other in entities)

    def _waits(self, entity: EntityId) -> bool:
        """Say whether an entity may be one of two told apart and says nothing new: a person was asked, and decides."""
        if entity not in self.grouping.choice.chose:
            return False
        if self.grouping.compared.again:
            return True
        return not any(self.grouping.entity_of.get(one) == entity for one in self.incoming)

    def _merge(self, part: Sequence[RecordId], winner: EntityId, loser: EntityId) -> None:
        ours = [one for one in part if self.entity_of.get(one) == winner]
        theirs = [one for one in part if self.entity_of.get(one) == loser]
        best = max(self._allowed(ours, theirs), default=(0.0, ours[0], theirs[0]))
        moved = tuple(self.ref(one) for one in theirs if one in self.grouping.entity_of)
        rule = self.rule(best[1], best[2])
        name, weights = self.grouping.compared.object, self.grouping.weights_number
        self.merges.append(AutoMerge(winner, loser, name, rule, best[0], moved, weights))
        self.entity_of.update(dict.fromkeys(theirs, winner))

    def _allowed(
        self, ours: Sequence[RecordId], theirs: Sequence[RecordId]
    ) -> Iterator[tuple[float, RecordId, RecordId]]:
        for one in ours:
            edges = self.grouping.memory.edges.get(one, {})
            for other in theirs:
                bits = edges.get(other)
                if bits is not None and self._merging.allows(one, other, bits):
                    yield bits, one, other

    def _ties(self, part: Sequence[RecordId]) -> Iterator[tuple[Pair, float]]:
        """Yield the pairs that tie entities of a part."""
        for number, one in enumerate(part):
            for bits, _, other in self._allowed([one], part[number + 1 :]):
                yield pair_of(one, other), bits

    def _closest(self, record: RecordId, part: Sequence[RecordId], entities: Sequence[EntityId]) -> EntityId:
        """Return the entity to which the best pair leads, where a part has several that may not merge."""
        if len(entities) == 1:
            return entities[0]
        others = [one for one in part if self.entity_of.get(one) in entities]
        best = max(self._allowed([record], others), default=None)
        return entities[0] if best is None else self.entity_of[best[2]]

    def _suggest(self) -> Iterator[NewCandidate]:
        """Yield the pairs to review, the best of each two entities."""
        compared = self.grouping.compared
        found: dict[frozenset[EntityId], tuple[float, Pair, str]] = {}
        likely = [(pair, bits) for pair, bits in compared.edges.items() if bits >= REVIEW_BITS_MIN]
        for pair, bits in sorted((*likely, *self._loose), key=lambda one: (-one[1], one[0])):
            self._note(found, pair, bits, "")
        for pair, bits, reason in self._refused():
            self._note(found, pair, bits, reason)
        contested: set[frozenset[EntityId]] = set()
        for pair, bits in self._contested():
            self._note(found, pair, bits, "")
            contested.add(self._entities(pair))
        for pair, bits in self._undecided():
            self._note(found, pair, bits, EITHER)
            contested.add(self._entities(pair))
        counts: dict[RecordId, int] = defaultdict(int)
        for bits, pair, reason in sorted(found.values(), key=lambda one: (-one[0], one[1])):
            fresh = [one for one in pair if one in compared.fresh] or [pair[0]]
            few = all(counts[one] < self.limits.pairs_max for one in fresh)
            if few or self._entities(pair) in contested:
                counts.update({one: counts[one] + 1 for one in fresh})
                yield self._candidate(pair, bits, reason or self._blocked(pair))
        yield from (self._torn(pair) for pair in self.grouping.torn)

    def _contested(self) -> Iterator[tuple[Pair, float]]:
        """Yield the pairs that have an exclusive key in common: of two entities, a person must hear of it."""
        compared = self.grouping.compared
        for one, other in compared.contested():
            pair = pair_of(one, other)
            yield pair, compared.edges.get(pair, self.limits.rules.missing_bits)

    def _undecided(self) -> Iterator[tuple[Pair, float]]:
        """Yield, of each record that may be one of several told apart, its best pair with each of them."""
        memory = self.grouping.memory
        for one, entities in self.grouping.choice.undecided.items():
            for entity in entities:
                theirs = [other for other, own in self.grouping.entity_of.items() if own == entity]
                bits, other = max(
                    (memory.bits(one, other), other) for other in theirs if other in memory.parts
                )
                yield pair_of(one, other), bits

    def _entities(self, pair: Pair) -> frozenset[EntityId]:
        return frozenset(self.entity_of[one] for one in pair if one in self.entity_of)

    def _note(
        self, found: dict[frozenset[EntityId], tuple[float, Pair, str]], pair: Pair, bits: float, reason: str
    ) -> None:
        one, other = self.entity_of.get(pair[0]), self.entity_of.get(pair[1])
        if one is None or other is None or one == other or self.grouping.is_apart(one, other):
            return
        entities = frozenset((one, other))
        before = found.get(entities)
        if before is None:
            found[entities] = (bits, pair, reason)
        elif reason and not before[2]:
            found[entities] = (before[0], before[1], reason)

    def _refused(self) -> Iterator[tuple[Pair, float, str]]:
        """Yield the best pair of each union that a guard refused, where the batch has a part in it."""
        edges, fresh = self.grouping.memory.edges, self.grouping.compared.fresh
        for one in self.grouping.groups.refused:
            if one.reason == CANNOT_LINK or fresh.keys().isdisjoint((*one.left, *one.right)):
                continue
            pairs = [
                (edges[left][right], pair_of(RecordId(left), RecordId(right)))
                for left in one.left
                for right in one.right
                if right in edges.get(left, {})
            ]
            if pairs:
                bits, pair = max(pairs)
                yield pair, bits, one.reason

    def _blocked(self, pair: Pair) -> str:
        """Return why a pair is not merged, where something stands against it."""
        memory = self.grouping.memory
        reason = Guards(memory.parts, memory.rules, shared=memory.shared)((pair[0],), (pair[1],))
        ours, theirs = memory.parts[pair[0]], memory.parts[pair[1]]
        if not reason and not names_fit(ours, theirs):
            return NAME
        if not reason and conflict(ours, theirs):
            return MAILBOX
        return reason or self._merging.weakness(ours, theirs)

    def _candidate(self, pair: Pair, bits: float, reason: str) -> NewCandidate:
        """Return a pair to review; its first record is the one that is new."""
        fresh = self.grouping.compared.fresh
        one, other = pair if pair[0] in fresh and pair[1] not in fresh else (pair[1], pair[0])
        order = self._order
        if one in order and other in order and order[one] < order[other]:
            one, other = other, one
        name = self.grouping.compared.object
        return NewCandidate(
            one,
            self.entity_of[one],
            other,
            self.entity_of[other],
            name,
            self.rule(one, other),
            reason,
            bits,
            weights=self.grouping.weights_number,
        )

    def _torn(self, pair: Pair) -> NewCandidate:
        memory = self.grouping.memory
        compared = self.grouping.compared
        stood = self.grouping.near.edges.get(pair, memory.rules.missing_bits)
        if pair in self.grouping.outdated:
            stood = self.grouping.rescored.get(pair, memory.rules.missing_bits)
        bits = compared.edges.get(pair, stood)
        entity = self.entity_of[pair[0]]
        return NewCandidate(
            pair[0],
            entity,
            pair[1],
            entity,
            compared.object,
            self.rule(*pair),
            self._blocked(pair),
            bits,
            "split",
            self.grouping.weights_number,
        )


_TIERS: Final = (Tier.REVIEW, Tier.LINK, Tier.MERGE)
