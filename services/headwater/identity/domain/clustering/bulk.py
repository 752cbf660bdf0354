"""A whole set of records at once: the same keys, scores and linkage as record by record. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from headwater.identity.domain.clustering.guards import Guards
from headwater.identity.domain.clustering.linkage import Partition, partition
from headwater.identity.domain.clustering.memory import Keyed, Memory


def resolve_all(records: Sequence[Keyed], memory: Memory) -> Partition:
    """Take all *records* in, score every pair that shares a key, and group them."""
    for record in records:
        memory.add(record)
    for one, other in _pairs(records, memory):
        memory.compare(one, other)
    guard = Guards(memory.parts, memory.rules)
    return partition(memory.parts, memory.edges, memory.rules, guard)


def _pairs(records: Iterable[Keyed], memory: Memory) -> Iterator[tuple[str, str]]:
    """Yield each pair that shares a key; now and then one twice, which scores the same."""
    for record in records:
        for other in memory.candidates_after(record):
            yield record.record_id, other
