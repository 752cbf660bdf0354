"""A whole set of records at once: the same keys, scores and linkage as record by record. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.identity.domain.clustering.guards import Guards
from headwater.identity.domain.clustering.linkage import Partition
from headwater.identity.domain.clustering.memory import Keyed, Memory


def resolve_all(records: Sequence[Keyed], memory: Memory) -> Partition:
    """Take all *records* in, score every pair that shares a key, and group them."""
    for record in records:
        memory.add(record)
    for record in records:
        for other in memory.candidates(record):
            if other > record.record_id:
                memory.compare(record.record_id, other)
    return memory.group(memory.parts, Guards(memory.parts, memory.rules, shared=memory.shared))
