"""Records and entities as identity's domain speaks of them: values only. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, NewType

from headwater.identity.domain.normalising.values import NO_NAME, PersonName
from headwater.kernel.ids import EntityId, TenantId

RecordId = NewType("RecordId", uuid.UUID)
"""Id of a source record inside one tenant: a pure function of its name."""

Kind = Literal["linkedin", "email", "phone_surname", "name_domain", "domain", "name"]

NAMESPACE: Final = uuid.UUID("7c1d54c0-3a0e-5e1b-9a53-8d6f2b1e4a90")
"""Namespace of record and entity ids; never changes, or replays would give other ids."""


class RecordRef(NamedTuple):
    """Name of a source record."""

    source: str
    object: str
    external_id: str


class Key(NamedTuple):
    """One thing that identifies a record.

    Args:
        blocked_by: why the value may never join (a function of the value), or empty.
    """

    object: str
    kind: Kind
    value: str
    blocked_by: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What tells two records apart that share a key."""

    name: PersonName = NO_NAME
    linkedin: str = ""
    domain: str = ""
    mailbox: str = ""
    """Address at an organisation's own domain; free mail is no evidence."""

    def updated_by(self, newer: Evidence) -> Evidence:
        """Return this with every part that *newer* knows in its place."""
        name = PersonName(*(new or old for old, new in zip(self.name, newer.name, strict=True)))
        return Evidence(
            name,
            newer.linkedin or self.linkedin,
            newer.domain or self.domain,
            newer.mailbox or self.mailbox,
        )


NO_EVIDENCE: Final = Evidence()


class Age(NamedTuple):
    """Order of entities by creation: those of the database before those of this batch."""

    generation: int
    number: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A record that has a key, and the entity it belongs to now."""

    record_id: RecordId
    ref: RecordRef
    entity_id: EntityId
    age: Age
    evidence: Evidence


def record_id_of(tenant_id: TenantId, ref: RecordRef) -> RecordId:
    """Return the record's id, the same for ever. The unit separator cannot stand in any part."""
    name = f"{tenant_id}\x1f{ref.object}\x1f{ref.source}\x1f{ref.external_id}"
    return RecordId(uuid.uuid5(NAMESPACE, name))


def entity_id_of(founder: RecordId) -> EntityId:
    """Return the id of the entity that a record founds: its own, so that a replay gives the same ids."""
    return EntityId(founder)
