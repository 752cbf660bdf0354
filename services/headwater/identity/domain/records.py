"""Records as identity's domain speaks of them: values only. Pure."""

from __future__ import annotations

import uuid
from typing import Final, NamedTuple, NewType

from headwater.kernel.ids import EntityId, TenantId

RecordId = NewType("RecordId", str)
"""Id of a source record inside one tenant: a pure function of its name; a UUID in lower case."""
GroupId = NewType("GroupId", uuid.UUID)
"""Id of the records that are linked to each other."""

NAMESPACE: Final = uuid.UUID("7c1d54c0-3a0e-5e1b-9a53-8d6f2b1e4a90")
"""Namespace of record and entity ids; never changes, or replays would give other ids."""


class RecordRef(NamedTuple):
    """Name of a source record."""

    source: str
    object: str
    external_id: str


def record_id_of(tenant_id: TenantId, ref: RecordRef) -> RecordId:
    """Return the record's id, the same for ever. The unit separator cannot stand in any part."""
    name = f"{tenant_id}\x1f{ref.object}\x1f{ref.source}\x1f{ref.external_id}"
    return RecordId(str(uuid.uuid5(NAMESPACE, name)))


def entity_id_of(founder: RecordId) -> EntityId:
    """Return the id of the entity that a record founds: its own, so that a replay gives the same ids."""
    return EntityId(uuid.UUID(founder))
