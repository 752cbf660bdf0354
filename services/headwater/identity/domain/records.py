"""Records as identity's domain speaks of them: values only. Pure."""

from __future__ import annotations

import uuid
from hashlib import sha1
from typing import Final, NamedTuple, NewType

from headwater.kernel.ids import EntityId, TenantId

RecordId = NewType("RecordId", str)
"""Id of a source record inside one tenant: a pure function of its name; a UUID in lower case."""
GroupId = NewType("GroupId", uuid.UUID)
"""Id of the records that are linked to each other."""

NAMESPACE: Final = uuid.UUID("7c1d54c0-3a0e-5e1b-9a53-8d6f2b1e4a90")
"""Namespace of record and entity ids; never changes, or replays would give other ids."""

_NAMESPACE_BYTES: Final = NAMESPACE.bytes
_VARIANTS: Final = {f"{number:x}": f"{number & 3 | 8:x}" for number in range(16)}
"""The first digit of the clock sequence with the variant's two bits set."""


class RecordRef(NamedTuple):
    """Name of a source record."""

    source: str
    object: str
    external_id: str


def record_id_of(tenant_id: TenantId, ref: RecordRef) -> RecordId:
    """Return the record's id, the same for ever. The unit separator cannot stand in any part.

    Source: RFC 9562, 5.5, a UUID of version 5; the library's own way makes two UUIDs for it, at thrice the time.
    """
    name = f"{tenant_id}\x1f{ref.object}\x1f{ref.source}\x1f{ref.external_id}"
    digits = sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    variant = _VARIANTS[digits[16]]
    return RecordId(f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}")


def entity_id_of(founder: RecordId) -> EntityId:
    """Return the id of the entity that a record founds: its own, so that a replay gives the same ids."""
    return EntityId(uuid.UUID(founder))
