"""From rows to the domain's values. Pure; must not run a statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from headwater.identity.domain.identifying import NOTHING, Identified
from headwater.identity.domain.merging import EntityState, Merge
from headwater.identity.domain.records import RecordId, RecordRef
from headwater.identity.domain.resolving.values import KeyUse, KnownRecord, Looked, Near, Standing
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.stored import load

_NOBODY: Final = Parts()
_NO_KEYS: Final[frozenset[int]] = frozenset()


def ref_of(row: Any) -> RecordRef:
    """Read a record's name."""
    return RecordRef(row["source"], row["object"], row["external_id"])


def keys_text(keys: Sequence[int]) -> str:
    """Write hashes of keys as one text."""
    return " ".join(map(str, keys))


def parts_of(stored: bytes) -> Parts:
    """Read parts; a record that is never compared has none."""
    return load(stored) if stored else _NOBODY


def known_of(
    _record: str,
    entity: Any,
    group: Any,
    parts: bytes,
    keys: str,
    strong: int,
    exclusive: int,
    digest: int = 0,
    revision: int = 0,
) -> KnownRecord:
    """Read a record that was resolved before."""
    hashes = tuple(map(int, keys.split()))
    identified = Identified(parts_of(parts), hashes, strong, exclusive)
    return KnownRecord(entity, group, identified, digest, revision)


def all_known_of(row: Any) -> dict[RecordId, KnownRecord]:
    """Read records that were resolved before; one without parts says what it said last."""
    if row["records"] is None:
        return {}
    revision = row["revision"]
    columns = (
        row[name]
        for name in ("records", "entities", "groups", "parts", "keys", "strong", "exclusive", "digests")
    )
    return {
        record: KnownRecord(entity, group, NOTHING, digest, revision)
        if parts is None
        else known_of(record, entity, group, parts, keys, strong, exclusive, digest, revision)
        for record, entity, group, parts, keys, strong, exclusive, digest in zip(*columns, strict=True)
    }


def use_of(row: Any) -> KeyUse:
    """Read a key that says less than others."""
    return KeyUse(row["value"], row["generic"], row["crowded"])


def looked_of(row: Any) -> Looked:
    """Read what a batch meets; a column without rows is NULL."""
    columns = zip(
        row["known_records"] or (),
        row["known_entities"] or (),
        row["known_groups"] or (),
        row["known_parts"] or (),
        row["known_keys"] or (),
        row["known_strong"] or (),
        row["known_exclusive"] or (),
        strict=True,
    )
    known = {one[0]: known_of(*one) for one in columns}
    holders: dict[int, list[RecordId]] = defaultdict(list)
    for key, record in zip(row["hit_hashes"] or (), row["hit_records"] or (), strict=True):
        holders[key].append(record)
    found = dict(zip(row["found_records"] or (), row["found_parts"] or (), strict=True))
    uses = zip(
        row["use_hashes"] or (),
        row["use_values"] or (),
        row["use_generic"] or (),
        row["use_crowded"] or (),
        strict=True,
    )
    return Looked(
        known,
        holders,
        found,
        {key: KeyUse(value, generic, crowded) for key, value, generic, crowded in uses},
        frozenset(row["generic_values"] or ()),
        row["revision"],
    )


def near_of(row: Any, near_max: int) -> Near:
    """Read a neighbourhood; one of at least *near_max* records may not be all of it."""
    records: dict[RecordId, Standing] = {}
    for record, source, name, external_id, entity, group, parts, keys in zip(
        row["near_records"] or (),
        row["near_sources"] or (),
        row["near_objects"] or (),
        row["near_external_ids"] or (),
        row["near_entities"] or (),
        row["near_groups"] or (),
        row["near_parts"] or (),
        row["near_keys"] or (),
        strict=True,
    ):
        ref = RecordRef(source, name, external_id)
        hashes = frozenset(map(int, keys.split())) if keys else _NO_KEYS
        records[record] = Standing(ref, entity, group, parts, hashes)
    edges = list(zip(row["edge_lows"] or (), row["edge_highs"] or (), strict=True))
    scored_with = zip(edges, row["edge_weights"] or (), strict=True)
    apart = zip(row["apart_lows"] or (), row["apart_highs"] or (), strict=True)
    return Near(
        records,
        dict(zip(row["age_entities"] or (), row["ages"] or (), strict=True)),
        dict(zip(edges, row["edge_bits"] or (), strict=True)),
        frozenset(row["generic_values"] or ()),
        frozenset(row["crowded_hashes"] or ()),
        frozenset(apart),
        whole=len(records) < near_max,
        edge_weights={pair: number for pair, number in scored_with if number},
    )


def entity_of(row: Any) -> EntityState:
    """Read an entity."""
    return EntityState(row["entity_id"], row["object"], row["merged_into"], row["create_time"])


def merge_of(row: Any) -> Merge:
    """Read a merge."""
    return Merge(
        row["merge_id"],
        row["seq"],
        row["object"],
        row["winner_id"],
        row["loser_id"],
        row["moved_count"],
        row["split_moved_count"],
    )
