"""Records in memory with their keys, edges and shared values: what both drivers read. No I/O.

The service keeps the same things in tables; the rules are the same functions.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from heapq import nsmallest

from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.sharing import is_generic, watched
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.weights import Weights


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record to resolve: its id, its parts, the hashes of its keys."""

    record_id: str
    parts: Parts
    keys: tuple[int, ...]


class Memory:
    """Records, the index of their keys, the scores of their pairs, and which values are generic.

    Args:
        key_rows_max: records of one key that are compared, the smallest ids first.
    """

    def __init__(self, weights: Weights, rules: Rules, key_rows_max: int = 40) -> None:
        self.weights, self.rules, self._rows_max = weights, rules, key_rows_max
        self.parts: dict[str, Parts] = {}
        self.edges: dict[str, dict[str, float]] = defaultdict(dict)
        self.shared: set[str] = set()
        self._crowded: dict[int, tuple[int, list[str]]] = {}
        self._buckets: dict[int, list[str]] = defaultdict(list)
        self._surnames: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._holders: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, record: Keyed) -> list[str]:
        """Take a record in; return the records whose pairs a value that turned generic makes worth another look."""
        self.parts[record.record_id] = record.parts
        for key in record.keys:
            self._buckets[key].append(record.record_id)
        turned: list[str] = []
        for kind, value in watched(record.parts):
            self._holders[kind, value].append(record.record_id)
            surnames = self._surnames[kind, value]
            if record.parts.family and record.parts.family not in surnames:
                surnames.add(record.parts.family)
                if value not in self.shared and is_generic(kind, surnames):
                    self.shared.add(value)
                    turned.extend(self._holders[kind, value])
        return turned

    def candidates(self, record: Keyed) -> set[str]:
        """Return the records that share a key with *record*."""
        found: set[str] = set()
        for key in record.keys:
            bucket = self._buckets[key]
            found.update(bucket if len(bucket) <= self._rows_max else self._first(key))
        found.discard(record.record_id)
        return found

    def candidates_after(self, record: Keyed) -> set[str]:
        """Return the candidates whose own candidates may not tell the pair: each pair comes from one side."""
        me, found = record.record_id, set[str]()
        for key in record.keys:
            bucket = self._buckets[key]
            if len(bucket) <= self._rows_max:
                found.update(other for other in bucket if other > me)
            else:
                first = self._first(key)
                found.update(first if me > first[-1] else (other for other in first if other > me))
        return found

    def _first(self, key: int) -> list[str]:
        """Return the records of a crowded key that are compared: the smallest ids, whatever came first."""
        first = self._crowded.get(key)
        if first is None or first[0] != len(self._buckets[key]):
            first = len(self._buckets[key]), nsmallest(self._rows_max, self._buckets[key])
            self._crowded[key] = first
        return first[1]

    def compare(self, one: str, other: str) -> None:
        """Score a pair and keep its edge, unless it says no more than a pair never compared."""
        bits = score_bits(self.parts[one], self.parts[other], self.weights, self.shared)
        if bits > self.rules.missing_bits:
            self.edges[one][other] = self.edges[other][one] = bits
        else:
            self.edges[one].pop(other, None)
            self.edges[other].pop(one, None)
