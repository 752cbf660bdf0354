"""Which of several entities that a person told apart the others around them may be linked to. Pure.

What a person split stays two, yet both halves look alike to whatever comes later: a cap on the bits of one pair makes
them equal, and the order of ids would decide. So whoever could go with either goes with the half of which it has an
identifier that the other lacks; else with the half that it matches better, over all its records; where both are about
as likely, with neither, and a person is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from headwater.identity.domain.clustering.linkage import Members
from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.clustering.tiers import Merging
from headwater.identity.domain.records import RecordId
from headwater.kernel.ids import EntityId

EntityPair = frozenset[EntityId]


@dataclass(frozen=True, slots=True)
class Choice:
    """What choosing gave.

    Args:
        kept_from: of each record that had a choice, the entities that it must not be linked to.
        undecided: of each new record that goes with neither, the entities that it may be.
        chose: entities that had a choice.
    """

    kept_from: Mapping[RecordId, frozenset[EntityId]]
    undecided: Mapping[RecordId, Sequence[EntityId]]
    chose: frozenset[EntityId]

    def forbids(self, ours: Members, theirs: frozenset[EntityId]) -> bool:
        """Say whether one of *ours* must not be linked to one of *theirs*."""
        return any(not kept.isdisjoint(theirs) for one in ours if (kept := self.kept_from.get(RecordId(one))))


NO_CHOICE: Final = Choice({}, {}, frozenset())


def choose(memory: Memory, entity_of: Mapping[RecordId, EntityId], apart: frozenset[EntityPair]) -> Choice:
    """Decide for every entity and every new record that could go with entities told apart.

    Args:
        memory: the neighbourhood, its edges settled.
        entity_of: entity of each record that has one.
    """
    if not apart:
        return NO_CHOICE
    merging = Merging(memory.parts, memory.shared)
    members = _members(memory, entity_of)
    halves = {entity for pair in apart for entity in pair if entity in members}
    kept_from: dict[RecordId, frozenset[EntityId]] = {}
    undecided: dict[RecordId, Sequence[EntityId]] = {}
    chose: set[EntityId] = set()
    for entity, records, reached in _facing(memory, entity_of, members, halves):
        open_to = [half for half in reached if entity is None or frozenset((half, entity)) not in apart]
        if not any(frozenset((half, other)) in apart for half in open_to for other in open_to):
            continue
        strangers = _strangers(merging, memory, records, {half: members[half] for half in open_to}, apart)
        averages = {
            half: _average(memory, records, members[half]) for half in open_to if half not in strangers
        }
        kept, either = _weigh(averages, apart, memory.rules.bits_min, memory.rules.margin_bits)
        kept_from.update(dict.fromkeys(records, kept | strangers))
        if entity is not None:
            chose.add(entity)
        elif either:
            undecided[records[0]] = either
    return Choice(kept_from, undecided, frozenset(chose))


def _members(memory: Memory, entity_of: Mapping[RecordId, EntityId]) -> dict[EntityId, list[RecordId]]:
    found: dict[EntityId, list[RecordId]] = defaultdict(list)
    for one, entity in sorted(entity_of.items()):
        if one in memory.parts:
            found[entity].append(one)
    return found


def _facing(
    memory: Memory,
    entity_of: Mapping[RecordId, EntityId],
    members: Mapping[EntityId, Sequence[RecordId]],
    halves: AbstractSet[EntityId],
) -> Iterator[tuple[EntityId | None, Sequence[RecordId], AbstractSet[EntityId]]]:
    """Yield every entity, and every record without one, that some pair links to halves, with its records and these."""
    entities: dict[EntityId, set[EntityId]] = defaultdict(set)
    records: dict[RecordId, set[EntityId]] = defaultdict(set)
    for half in halves:
        for one in members[half]:
            for other, bits in memory.edges.get(one, {}).items():
                entity = entity_of.get(RecordId(other))
                if bits < memory.rules.bits_min or entity == half:
                    continue
                if entity is None:
                    records[RecordId(other)].add(half)
                else:
                    entities[entity].add(half)
    yield from ((entity, members[entity], reached) for entity, reached in entities.items())
    yield from ((None, [record], reached) for record, reached in records.items())


def _strangers(
    merging: Merging,
    memory: Memory,
    ours: Sequence[RecordId],
    halves: Mapping[EntityId, Sequence[RecordId]],
    apart: frozenset[EntityPair],
) -> frozenset[EntityId]:
    """Return the halves without an identifier of *ours* that are apart from one that has some, however large that is."""
    named = {
        half
        for half, theirs in halves.items()
        if any(merging.allows(one, other, memory.bits(one, other)) for one in ours for other in theirs)
    }
    return frozenset(
        half
        for half in halves
        if half not in named and any(frozenset((half, other)) in apart for other in named)
    )


def _average(memory: Memory, ours: Sequence[RecordId], theirs: Sequence[RecordId]) -> float:
    """Return the average bits over all pairs; the floor of a pair counts, its cap does not: it would make halves equal."""
    floor = memory.rules.pair_bits_min
    found = [max(floor, memory.bits(one, other)) for one in ours for other in theirs]
    return sum(found) / len(found)


def _weigh(
    averages: Mapping[EntityId, float], apart: frozenset[EntityPair], bits_min: float, margin_bits: float
) -> tuple[frozenset[EntityId], Sequence[EntityId]]:
    """Return the entities that are out of question, and those between which nobody can say."""
    ranked = sorted(averages, key=lambda one: (-round(averages[one], 6), one))
    best = ranked[0]
    others = [one for one in ranked[1:] if frozenset((best, one)) in apart]
    close = [
        one for one in others if averages[one] >= bits_min and averages[best] - averages[one] < margin_bits
    ]
    either = [best, *close] if close else []
    return frozenset((*others, *either)), either
