"""From rows to the domain's values. Pure; must not run a statement."""

from __future__ import annotations

from typing import Any

from headwater.identity.domain.merging import EntityState, Merge
from headwater.identity.domain.normalising.values import PersonName
from headwater.identity.domain.records import Age, Evidence, Holder, Key, RecordRef
from headwater.identity.domain.resolving import KnownRecord


def ref_of(row: Any) -> RecordRef:
    """Read a record's name."""
    return RecordRef(row["source"], row["object"], row["external_id"])


def holder_of(row: Any) -> Holder:
    """Read a record with its entity and its evidence."""
    name = PersonName(row["given_name"], row["family_name"], row["generation"])
    evidence = Evidence(name, row["linkedin"], row["domain"], row["mailbox"])
    return Holder(row["record_id"], ref_of(row), row["entity_id"], Age(0, row["seq"]), evidence)


def known_of(row: Any) -> KnownRecord:
    """Read a record that was resolved before, with its keys."""
    columns = zip(row["kinds"] or (), row["key_values"] or (), row["blocks"] or (), strict=True)
    keys = frozenset(Key(row["object"], kind, value, block) for kind, value, block in columns)
    return KnownRecord(holder_of(row), keys)


def key_of(row: Any) -> Key:
    """Read a key."""
    return Key(row["object"], row["kind"], row["value"], row["blocked_by"])


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


def evidence_columns(evidence: Evidence) -> tuple[str, str, str, str, str, str]:
    """Return a record's evidence in the order of the columns."""
    return (*evidence.name, evidence.linkedin, evidence.domain, evidence.mailbox)
