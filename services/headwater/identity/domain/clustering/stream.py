"""Records one by one: each is looked up, scored, and its neighbourhood grouped anew. No I/O.

A group depends only on the component of pairs at or above the threshold, so grouping that component
anew gives what grouping everything would: any order of arrival ends in the same groups. Where a
component is larger than may be read, only what strong pairs connect to the record is grouped anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

from headwater.identity.domain.clustering.guards import Guards
from headwater.identity.domain.clustering.linkage import Members, Partition
from headwater.identity.domain.clustering.memory import Keyed, Memory
from headwater.identity.domain.clustering.naming import Naming, name_groups

NEIGHBOURHOOD_MAX: Final = 400
"""Records that one resolve may group anew."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a record's arrival changed.

    Args:
        touched: how many records were grouped anew.
        naming: the entity of each of them, and which ids went.
    """

    entity_id: str
    touched: int
    naming: Naming
    groups: Partition


class Stream:
    """Entities over the records that have arrived."""

    def __init__(self, memory: Memory, neighbourhood_max: int = NEIGHBOURHOOD_MAX) -> None:
        self._memory, self._neighbourhood_max = memory, neighbourhood_max
        self._ids = count(1)
        self._guards = Guards(memory.parts, memory.rules, shared=memory.shared)
        self.entity_of: dict[str, str] = {}
        self._members: dict[str, set[str]] = {}

    def resolve(self, record: Keyed) -> Resolved:
        """Take a record in and return its entity and what became of its neighbours'."""
        memory = self._memory
        turned = memory.add(record)
        again = [one for one in (*turned.shared, *turned.crowded) if one != record.record_id]
        before = self.neighbourhood(again)
        memory.forget(turned.crowded)
        for other in memory.candidates(record):
            memory.compare(record.record_id, other)
        memory.rescore(turned.shared)
        return self._regroup(record.record_id, before)

    def _regroup(self, record: str, before: set[str]) -> Resolved:
        near = self.neighbourhood({record} | before)
        groups = self._memory.group(near, self._guards)
        had = {one: self.entity_of[one] for one in near if one in self.entity_of}
        naming = name_groups(groups.groups, had, lambda _: f"entity-{next(self._ids)}")
        self._rename(had, naming.entity_of)
        return Resolved(naming.entity_of[record], len(near), naming, groups)

    def groups(self) -> tuple[Members, ...]:
        """Return all groups as they stand."""
        return tuple(sorted(tuple(sorted(members)) for members in self._members.values() if members))

    def neighbourhood(self, touched: Iterable[str]) -> set[str]:
        """Return the records whose groups may change: all that linking pairs connect, with their entities whole."""
        seeds = set(touched)
        for one in list(seeds):
            seeds |= self._entity(one)
        near, frontier = set(seeds), sorted(seeds)
        while frontier and len(near) < self._neighbourhood_max:
            one = frontier.pop()
            for other, bits in self._memory.edges.get(one, {}).items():
                if bits >= self._memory.tie_bits_min and other not in near:
                    added = {other} | self._entity(other)
                    near |= added
                    frontier.extend(added)
        return near

    def _entity(self, record: str) -> set[str]:
        entity = self.entity_of.get(record)
        return self._members[entity] if entity is not None else {record}

    def _rename(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        for record, entity in before.items():
            self._members[entity].discard(record)
        for record, entity in after.items():
            self.entity_of[record] = entity
            self._members.setdefault(entity, set()).add(record)
