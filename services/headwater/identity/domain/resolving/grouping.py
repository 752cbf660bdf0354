"""The neighbourhood of a batch, grouped anew. Pure.

Owns: which edges stand, the groups they make, which entity is torn by them. Must not place records.
An entity's records are always in one group: where the evidence alone would part them, they are held
together and a person is asked. Edges that were scored with other weights than those that count now are
scored anew: so old groups follow new weights when they are touched, and not before.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Final

from headwater.identity.domain.clustering.guards import CANNOT_LINK, Guards
from headwater.identity.domain.clustering.linkage import MUST, Members, Partition, components
from headwater.identity.domain.clustering.memory import Memory
from headwater.identity.domain.clustering.naming import name_groups
from headwater.identity.domain.clustering.remembering import Remembered
from headwater.identity.domain.records import GroupId, RecordId
from headwater.identity.domain.resolving.choosing import NO_CHOICE, Choice, EntityPair, choose
from headwater.identity.domain.resolving.comparing import Comparison
from headwater.identity.domain.resolving.values import Near, Pair, Standing, pair_of
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.stored import load
from headwater.identity.domain.scoring.versions import SHIPPED, number_of
from headwater.kernel.ids import EntityId


@dataclass(slots=True)
class Grouping:
    """A neighbourhood and its groups.

    Args:
        memory: parts, edges and generic values of its records.
        entity_of: entity of each record that has one.
        torn: records of one entity that the evidence alone would part, a pair for each entity.
        choice: who may go with which of the entities that a person told apart.
        rescored: edges of the database whose bits have changed; gone: those that say nothing any more.
        outdated: edges of the database that other weights scored.
    """

    compared: Comparison
    near: Near
    memory: Memory
    entity_of: dict[RecordId, EntityId]
    apart: frozenset[EntityPair]
    groups: Partition = field(default_factory=lambda: Partition(()))
    choice: Choice = NO_CHOICE
    torn: list[Pair] = field(default_factory=list)
    rescored: dict[Pair, float] = field(default_factory=dict)
    gone: set[Pair] = field(default_factory=set)
    outdated: set[Pair] = field(default_factory=set)

    @property
    def weights_number(self) -> int:
        """Version of the weights that judge this neighbourhood."""
        return number_of(self.compared.weights.version)

    def group_of_each(self, new_id: Callable[[], uuid.UUID]) -> Mapping[RecordId, GroupId]:
        """Return the group of every record: the one that most of its like had."""
        before: dict[str, str] = {
            one: str(stands.group_id) for one, stands in self.standing() if one in self.memory.parts
        }
        new = [group for group in self.groups.groups if before.keys().isdisjoint(group)]
        found = {RecordId(one): GroupId(uuid.UUID(group[0])) for group in new for one in group}
        if before:
            rest = [group for group in self.groups.groups if not before.keys().isdisjoint(group)]
            named = name_groups(rest, before, lambda _: str(new_id())).entity_of
            ids = {text: GroupId(uuid.UUID(text)) for text in set(named.values())}
            found.update((RecordId(one), ids[text]) for one, text in named.items())
        return found

    def standing(self) -> Iterable[tuple[RecordId, Standing]]:
        """Yield the records of the neighbourhood that are in the database."""
        return self.near.records.items()

    def is_apart(self, one: EntityId, other: EntityId) -> bool:
        """Say whether a person told two entities apart."""
        return bool(self.apart) and frozenset((one, other)) in self.apart


REMEMBERED: Final = Remembered()
"""What this process has worked out of pairs in crowds, of all tenants: a record's id is of one."""


def group(compared: Comparison, near: Near) -> Grouping:
    """Group the neighbourhood of a batch's records of one object anew."""
    memory = Memory(compared.weights, compared.limits.rules, compared.limits.key_rows_max, REMEMBERED)
    own = {one: stands for one, stands in near.records.items() if stands.ref.object == compared.object}
    memory.parts.update({one: load(stands.parts) for one, stands in own.items() if one not in compared.fresh})
    memory.parts.update({one: told.parts for one, told in compared.fresh.items()})
    memory.stored = {one: stands.parts for one, stands in own.items() if one not in compared.fresh}
    memory.shared.update(compared.shared, near.generic)
    entity_of = {one: stands.entity_id for one, stands in own.items()}
    apart = frozenset(
        frozenset((entity_of[RecordId(one)], entity_of[RecordId(other)]))
        for one, other in near.apart
        if one in entity_of and other in entity_of
    )
    found = Grouping(compared, near, memory, entity_of, apart)
    _settle_edges(found)
    found.choice = choose(memory, entity_of, apart)
    _partition(found)
    return found


def _settle_edges(found: Grouping) -> None:
    """Put the edges of the database and those of the batch together, and drop what no key supports any more."""
    compared, memory = found.compared, found.memory
    stored = {
        pair: bits
        for pair, bits in found.near.edges.items()
        if pair[0] in memory.parts and pair[1] in memory.parts
    }
    edges = dict(stored)
    for pair in _unsupported(found, stored):
        del edges[pair]
    if compared.again:
        for pair in [one for one in edges if not compared.fresh.keys().isdisjoint(one)]:
            del edges[pair]
    found.outdated.update(_outdated(found, edges))
    for pair in (*_doubtful(found, edges), *found.outdated):
        edges[pair] = score_bits(memory.parts[pair[0]], memory.parts[pair[1]], memory.weights, memory.shared)
    edges.update(compared.edges)
    for pair in compared.silent:
        edges.pop(pair, None)
    for (one, other), bits in edges.items():
        if bits > memory.rules.missing_bits and one in memory.parts and other in memory.parts:
            memory.edges[one][other] = memory.edges[other][one] = bits
            if stored.get((one, other)) != bits or (one, other) in found.outdated:
                found.rescored[one, other] = bits
    found.gone.update(pair for pair in stored if pair[1] not in memory.edges.get(pair[0], {}))
    found.rescored.update({pair: bits for pair, bits in compared.edges.items() if stored.get(pair) != bits})


def _unsupported(found: Grouping, stored: Mapping[Pair, float]) -> Iterator[Pair]:
    """Yield the pairs among the holders of a key that crowds now which no other key brings together."""
    if not found.compared.crowds:
        return
    seen: set[Pair] = set()
    for holders in found.compared.crowds.values():
        for one, other in combinations(holders, 2):
            pair = pair_of(one, other)
            if pair in stored and pair not in seen:
                seen.add(pair)
                if not any(_brings(found, key) for key in _keys(found, one) & _keys(found, other)):
                    yield pair


def _outdated(found: Grouping, edges: Mapping[Pair, float]) -> Iterable[Pair]:
    """Return the pairs that were scored with other weights."""
    number, scored_with = found.weights_number, found.near.edge_weights
    if not number and not scored_with:
        return ()
    return [pair for pair in edges if scored_with.get(pair, SHIPPED) != number]


def _keys(found: Grouping, record: RecordId) -> frozenset[int]:
    fresh = found.compared.fresh.get(record)
    return frozenset(fresh.keys) if fresh is not None else found.near.records[record].keys


def _brings(found: Grouping, key: int) -> bool:
    return key not in found.near.crowded and key not in found.compared.barred


def _doubtful(found: Grouping, edges: Mapping[Pair, float]) -> Iterator[Pair]:
    """Yield pairs whose bits may have changed: of a record that says more now, of holders of what turned generic."""
    compared = found.compared
    known = {one for one in compared.fresh if one in compared.looked.known}
    turned = {holder for holders in compared.turned for holder in holders}
    if not known and not turned:
        return
    marked = known | turned
    for pair in list(edges):
        if (pair[0] in marked or pair[1] in marked) and pair not in compared.edges:
            yield pair
    for holders in compared.turned:
        if len(holders) <= compared.limits.key_rows_max:
            for one, other in combinations(holders, 2):
                pair = pair_of(one, other)
                if (
                    pair not in compared.edges
                    and pair[0] in found.memory.parts
                    and pair[1] in found.memory.parts
                ):
                    yield pair


def _partition(found: Grouping) -> None:
    memory = found.memory
    guards = Guards(memory.parts, memory.rules, shared=memory.shared)

    def guard(left: Members, right: Members) -> str:
        if found.apart:
            ours, theirs = _entities(found, left), _entities(found, right)
            if any(found.is_apart(one, other) for one in ours for other in theirs):
                return CANNOT_LINK
            if found.choice.forbids(left, theirs) or found.choice.forbids(right, ours):
                return CANNOT_LINK
        return guards(left, right)

    def holding_together(left: Members, right: Members) -> str:
        return "" if _entities(found, left) & _entities(found, right) else guard(left, right)

    found.groups = memory.group(memory.parts, guard)
    torn = dict(_torn(found))
    if torn:
        found.torn = [pair_of(RecordId(one), RecordId(other)) for one, other in torn.values()]
        again = _held_together(found, torn.keys())
        found.groups = _replaced(found.groups, again, memory.group(again, holding_together))


def _held_together(found: Grouping, entities: Collection[EntityId]) -> set[str]:
    """Tie the records of each entity to one another; return all that hang together with them."""
    memory = found.memory
    records_of: dict[EntityId, list[RecordId]] = {entity: [] for entity in entities}
    for one, own in found.entity_of.items():
        if own in records_of:
            records_of[own].append(one)
    for records in records_of.values():
        for one, other in pairwise(sorted(records)):
            memory.edges[one][other] = memory.edges[other][one] = MUST
    seeds = {record for records in records_of.values() for record in records}
    connected = components(sorted(memory.parts), memory.edges, memory.tie_bits_min)
    return {member for component in connected if not seeds.isdisjoint(component) for member in component}


def _replaced(before: Partition, records: Collection[str], again: Partition) -> Partition:
    """Return groups with those of *records* made anew; no group is of both."""
    groups = [group for group in before.groups if group[0] not in records]
    refused = [one for one in before.refused if one.left[0] not in records]
    return Partition(tuple(sorted((*groups, *again.groups))), (*refused, *again.refused))


def _entities(found: Grouping, members: Members) -> frozenset[EntityId]:
    return frozenset(found.entity_of[RecordId(one)] for one in members if one in found.entity_of)


def _torn(found: Grouping) -> Iterator[tuple[EntityId, tuple[str, str]]]:
    """Yield each entity whose records are in more than one group, with two of them that are apart."""
    first: dict[EntityId, tuple[str, int]] = {}
    seen: dict[EntityId, list[str]] = defaultdict(list)
    for number, members in enumerate(found.groups.groups):
        for one in members:
            entity = found.entity_of.get(RecordId(one))
            if entity is None:
                continue
            before = first.setdefault(entity, (one, number))
            if before[1] != number and not seen[entity]:
                seen[entity].append(one)
                yield entity, (before[0], one)
