"""Records in memory with their keys, edges and shared values: what both drivers read. No I/O.

The service keeps the same things in tables; the rules are the same functions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from headwater.identity.domain.clustering.linkage import (
    Edges,
    Guard,
    Members,
    Partition,
    Refused,
    Rules,
    components,
    link,
)
from headwater.identity.domain.clustering.remembering import CROWD_MIN, Remembered
from headwater.identity.domain.clustering.sharing import is_generic, named, watched
from headwater.identity.domain.clustering.tiers import Merging
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.weights import Weights


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record to resolve: its id, its parts, the hashes of its keys."""

    record_id: str
    parts: Parts
    keys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Turned:
    """What a record's arrival makes common, so that earlier pairs are looked at again.

    Args:
        shared: holders of a mailbox or number that turned generic.
        crowded: holders of a key that passed the limit of records.
    """

    shared: tuple[str, ...]
    crowded: tuple[str, ...]


class Memory:
    """Records, the index of their keys, the scores of their pairs, and which values and keys say nothing.

    Args:
        key_rows_max: a key that more records have brings nobody together, not even those that came first:
            what is compared must not depend on the order of arrival. A mailbox or number that so many
            have identifies nobody.
        remembered: what to ask for the bits of pairs of records that are stored; `stored` is filled by who has them.
    """

    def __init__(
        self, weights: Weights, rules: Rules, key_rows_max: int = 40, remembered: Remembered | None = None
    ) -> None:
        self.weights, self.rules, self._rows_max = weights, rules, key_rows_max
        self.tie_bits_min = rules.tie_bits_min(weights.object)
        self.parts: dict[str, Parts] = {}
        self.edges: dict[str, dict[str, float]] = defaultdict(dict)
        self.shared: set[str] = set()
        self.stored: Mapping[str, bytes] = {}
        self._remembered, self._version = remembered, remembered.version_of(weights) if remembered else 0
        self._filled: dict[str, dict[str, float]] = defaultdict(dict)
        self._keys: dict[str, tuple[int, ...]] = {}
        self._buckets: dict[int, list[str]] = defaultdict(list)
        self._names: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._holders: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, record: Keyed) -> Turned:
        """Take a record in; return what its arrival makes common."""
        me = record.record_id
        self.parts[me], self._keys[me] = record.parts, record.keys
        crowded: list[str] = []
        for key in record.keys:
            bucket = self._buckets[key]
            bucket.append(me)
            if len(bucket) == self._rows_max + 1:
                crowded.extend(bucket)
        return Turned(tuple(self._note_name(record)), tuple(dict.fromkeys(crowded)))

    def _note_name(self, record: Keyed) -> Iterator[str]:
        name, account = named(record.parts), record.parts.account
        for key in watched(record.parts):
            holders, names = self._holders[key], self._names[key]
            holders.append(record.record_id)
            if name:
                names.add(name)
            if key[1] in self.shared:
                continue
            if len(holders) > self._rows_max or is_generic(key[0], names, account=account):
                self.shared.add(key[1])
                yield from holders

    def candidates(self, record: Keyed) -> set[str]:
        """Return the records that share a key with *record*."""
        found: set[str] = set()
        for key in record.keys:
            bucket = self._buckets[key]
            if len(bucket) <= self._rows_max:
                found.update(bucket)
        found.discard(record.record_id)
        return found

    def forget(self, holders: Sequence[str]) -> None:
        """Drop the edges among the holders of a key that has become too common, where no other key supports them."""
        for one, other in combinations(holders, 2):
            if other in self.edges[one] and not self._share_key(one, other):
                del self.edges[one][other], self.edges[other][one]

    def _share_key(self, one: str, other: str) -> bool:
        both = set(self._keys[one]).intersection(self._keys[other])
        return any(len(self._buckets[key]) <= self._rows_max for key in both)

    def compare(self, one: str, other: str) -> None:
        """Score a pair that shares a key and keep its edge, unless it says no more than a pair never compared."""
        bits = self._score(one, other)
        if bits > self.rules.missing_bits:
            self.edges[one][other] = self.edges[other][one] = bits
        elif other in self.edges[one]:
            del self.edges[one][other], self.edges[other][one]

    def rescore(self, holders: Iterable[str]) -> None:
        """Score the pairs of records anew that have a value which turned generic."""
        for one in holders:
            for other in self._filled.pop(one, {}):
                self._filled[other].pop(one, None)
            for other in self.candidates(Keyed(one, self.parts[one], self._keys[one])):
                self.compare(one, other)

    def _score(self, one: str, other: str) -> float:
        return score_bits(self.parts[one], self.parts[other], self.weights, self.shared)

    def _complete(self, component: Members) -> Edges:
        """Return all pairs of a component, those too that no key brought together: no average rests on a guess.

        They make no edges: a component must not outlive the edges that it came from. One way round, from the lower id.
        """
        if not 2 < len(component) <= self.rules.completed_max:  # noqa: PLR2004 - a pair is compared already
            return self.edges
        numbers: Mapping[str, int] = {}
        if self._remembered is not None and len(component) >= CROWD_MIN:
            numbers = self._remembered.numbers(component, self.stored, self.parts, self.shared)
        full: dict[str, dict[str, float]] = {}
        for number, one in enumerate(component, 1):
            known, row = self.edges.get(one, {}), dict[str, float]()
            recalled = one in numbers
            for other in component[number:]:
                bits = known.get(other)
                if bits is None:
                    here = recalled and other in numbers
                    bits = self._recall(one, other, numbers) if here else self._fill(one, other)
                row[other] = bits
            full[one] = row
        return full

    def bits(self, one: str, other: str) -> float:
        """Return the bits of a pair, whether a key brought it together or not."""
        bits = self.edges.get(one, {}).get(other)
        return self._fill(one, other) if bits is None else bits

    def _fill(self, one: str, other: str) -> float:
        filled = self._filled[one]
        bits = filled.get(other)
        if bits is None:
            bits = score_bits(self.parts[one], self.parts[other], self.weights, self.shared)
            filled[other] = self._filled[other][one] = bits
        return bits

    def _recall(self, one: str, other: str, numbers: Mapping[str, int]) -> float:
        """Return the bits of two stored records, as remembered or worked out for the next time."""
        assert self._remembered is not None  # noqa: S101 - numbers are its own
        ours, theirs = numbers[one], numbers[other]
        pair = (self._version, ours, theirs) if ours < theirs else (self._version, theirs, ours)
        bits = self._remembered.bits.get(pair)
        if bits is None:
            bits = self._remembered.bits[pair] = self._fill(one, other)
        return bits

    def group(self, records: Iterable[str], guard: Guard) -> Partition:
        """Group *records*: each component of linking pairs by itself, all its pairs scored."""
        groups: list[Members] = []
        refused: list[Refused] = []
        for component in components(sorted(records), self.edges, self.tie_bits_min):
            found = self.group_component(component, guard)
            groups.extend(found.groups)
            refused.extend(found.refused)
        return Partition(tuple(sorted(groups)), tuple(refused))

    def group_component(self, component: Members, guard: Guard) -> Partition:
        """Group one component of linking pairs, all its pairs scored; the groups come in no order."""
        named = Merging(self.parts, self.shared).allows
        return link(component, self._complete(component), self.rules, guard, named)
