"""What an event says, in canonical words, and whom it is about. Pure.

A reading is made before identity is asked; it lists the subjects to resolve. An event that cannot
be read is poisoned: recorded with its error, never in the way of the rest.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec

from headwater.kernel.ids import (
    IDENTITY_OBJECT,
    OBJECTS,
    OWN_SOURCE,
    POLICY_OBJECT,
    SLA_OBJECT,
    ObjectName,
)
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import canonicalise
from headwater.policy.pointing import is_pointer, readers_of
from headwater.sync.domain.correcting import attached_entity, is_attached
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, RecordKey

DELETION_IGNORED: Final = "deletion_ignored"
"""By the policy, deletions in the event's source say nothing."""
ERASED: Final = "erased"
"""Rule of events that say nothing any more: the person they spoke of was erased."""
ERASED_PAYLOAD: Final = b'{"headwater":"erased"}'
"""What stands in place of an erased payload: `ingest.erased_payload()`."""
_decode = msgspec.json.Decoder().decode

_UNREADABLE: Final = (
    msgspec.DecodeError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What the functions that read a payload raise over one of another shape than expected."""


class Subject(msgspec.Struct, frozen=True):
    """A record that identity must place.

    Args:
        match_only: place it only when it matches somebody known; never create.
    """

    key: RecordKey
    attributes: Mapping[str, str]
    match_only: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """Where identity says that records are, and the tenant's last merge or split that it knows of."""

    homes: Mapping[RecordKey, uuid.UUID]
    revision: int


class RecordReading(msgspec.Struct, frozen=True):
    """A change of a source record.

    Args:
        fields: canonical field to value; references hold the external id, participants no entity yet.
        references: reference field to the record it points to.
        participants: address to the contact record it stands for, with the contact's own fields.
        raw: what the source said, of fields whose value is in another spelling.
    """

    event: LogEvent
    fields: Mapping[str, Any]
    subject: Subject
    deleted: bool = False
    references: Mapping[str, Subject] = {}
    participants: Mapping[str, tuple[Subject, Mapping[str, Any]]] = {}
    raw: Mapping[str, Any] = {}

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Everything to resolve, the record itself first."""
        return (self.subject, *self.references.values(), *(item[0] for item in self.participants.values()))


@dataclass(frozen=True, slots=True)
class IdentityReading:
    """A merge or a split that identity has made.

    Args:
        seq: its place among the tenant's changes, from 1.
    """

    event: LogEvent
    change: str
    winner: uuid.UUID
    loser: uuid.UUID
    object: str
    moved: tuple[RecordKey, ...]
    merge_id: uuid.UUID
    seq: int


@dataclass(frozen=True, slots=True)
class PolicyReading:
    """A new version of the policy, which takes effect by being the newest, or a note that changes no entity."""

    event: LogEvent


@dataclass(frozen=True, slots=True)
class Poisoned:
    """An event that cannot be projected as it is."""

    event: LogEvent
    error: str


@dataclass(frozen=True, slots=True)
class Echo:
    """An event that changes nothing by *rule*: a record of a CRM that shows only what we have written there, or a
    deletion that the policy leaves out.
    """

    event: LogEvent
    rule: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """An event that says that a record changed, and not how: it is to be fetched.

    Args:
        places: account and CRM object by which it can be.
    """

    event: LogEvent
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An event that is projected already: while the log is projected again for some tenants, those of the others."""

    event: LogEvent


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that waits for something that its tenant alone lacks; nothing is known of what becomes of it."""

    event: LogEvent
    reason: str


Reading = RecordReading | IdentityReading | PolicyReading | Poisoned | Echo | Pointer | PassedOver | Parked


def read_event(policy: PolicyDocument | None, event: LogEvent) -> Reading:
    """Return what *event* says under *policy*; never raises for what an event may hold."""
    if event.payload == ERASED_PAYLOAD:
        return Echo(event, ERASED)
    try:
        if event.source == OWN_SOURCE and event.object in {POLICY_OBJECT, SLA_OBJECT}:
            return PolicyReading(event)
        if event.source == OWN_SOURCE and event.object == IDENTITY_OBJECT:
            return _read_identity(event)
        if policy is None:
            return Poisoned(event, f"tenant {event.tenant_id!r} has no policy")
        return _read_record(policy, event)
    except _UNREADABLE as error:
        return Poisoned(event, f"{type(error).__name__}: {error}")


def _read_identity(event: LogEvent) -> IdentityReading:
    payload = _decode(event.payload)
    moved = tuple(
        RecordKey(event.tenant_id, item["object"], item["source"], item["external_id"])
        for item in payload["moved"]
    )
    return IdentityReading(
        event,
        payload["change"],
        uuid.UUID(payload["winner"]),
        uuid.UUID(payload["loser"]),
        payload["object"],
        moved,
        uuid.UUID(payload["merge_id"]),
        int(payload["seq"]),
    )


def _read_record(policy: PolicyDocument, event: LogEvent) -> Reading:
    if event.object not in OBJECTS:
        return Poisoned(event, f"object {event.object!r} is not a canonical object")
    object_name = event.object
    key = event.record_key
    if event.operation == OPERATION_DELETE:
        if _deletes(policy, event) == "ignore":
            return Echo(event, DELETION_IGNORED)
        return RecordReading(event, {}, Subject(key, {}), deleted=True, references={}, participants={})
    payload = _decode(event.payload)
    if is_pointer(payload):
        return Pointer(event, readers_of(policy, event.source, object_name))
    canonical = canonicalise(policy, event.source, object_name, payload, event.actor_id)
    if not canonical.fields and canonical.violations:
        first = canonical.violations[0]
        return Poisoned(event, f"{first.field}: {first.rule}: {first.description}")
    fields = dict(canonical.fields)
    if is_attached(key):
        attached_entity(key)  # a name that is no entity's is told as the event's fault
        subject = Subject(key, {})
        references = dict(_references(policy, event, fields))
        return RecordReading(event, fields, subject, references=references, raw=canonical.raw)
    said = {**fields, **canonical.raw} if canonical.raw else fields  # identity keeps what was said
    return RecordReading(
        event,
        {**fields, **touched} if (touched := _touched(policy, event)) else fields,
        Subject(key, _attributes(said)),
        references=dict(_references(policy, event, fields)),
        participants=dict(_participants(policy, event, fields)),
        raw=canonical.raw,
    )


def _touched(policy: PolicyDocument, event: LogEvent) -> dict[str, str]:
    """Return what a touch says in canonical fields: by their rules the first or the last one shows."""
    attribution = policy.attribution
    touch = None if attribution is None else attribution.touch_of(event.source, event.object)
    if attribution is None or touch is None:
        return {}
    known = policy.objects[cast("ObjectName", event.object)].fields
    return {name: touch.channel for name in (attribution.first, attribution.last) if name and name in known}


def _deletes(policy: PolicyDocument, event: LogEvent) -> str:
    system = policy.systems.get(event.source)
    return system.deletes if system else "soft"


def _attributes(fields: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(value) for name, value in fields.items() if isinstance(value, (str, int)) and value != ""
    }


def _references(
    policy: PolicyDocument, event: LogEvent, fields: Mapping[str, Any]
) -> list[tuple[str, Subject]]:
    found: list[tuple[str, Subject]] = []
    for name, item in policy.objects[cast("ObjectName", event.object)].fields.items():
        value = fields.get(name)
        if item.reference is not None and value is not None:
            key = RecordKey(event.tenant_id, item.reference, event.source, str(value))
            found.append((name, Subject(key, {})))
    return found


def _participants(
    policy: PolicyDocument, event: LogEvent, fields: Mapping[str, Any]
) -> list[tuple[str, tuple[Subject, Mapping[str, Any]]]]:
    barred = policy.unread_of(event.source, "contact")
    if "email" in barred:  # whom an address stands for is not read from there
        return []
    match_only = policy.systems[event.source].participants == "associate"
    known = policy.objects["contact"].fields if "contact" in policy.objects else {}
    found: dict[str, tuple[Subject, Mapping[str, Any]]] = {}
    for value in fields.values():
        for item in value if isinstance(value, list) else ():
            address = item["address"].strip().lower()
            if "@" not in address or address in found:
                continue
            contact = {
                name: part
                for name, part in _contact_fields(address, item["name"]).items()
                if name in known and name not in barred
            }
            key = RecordKey(event.tenant_id, "contact", event.source, address[:255])
            found[address] = (Subject(key, _attributes(contact), match_only), contact)
    return list(found.items())


def _contact_fields(address: str, name: str) -> dict[str, str]:
    first, last = split_name(name, address)
    fields = {"email": address, "first_name": first, "last_name": last}
    return {key: value for key, value in fields.items() if value}


def split_name(name: str, address: str) -> tuple[str, str]:
    """Return first and last name of a display name: `Last, First` and `First Middle Last` are known.

    A name that is an address, or none at all, gives the mailbox's name as last name: CRMs require one.
    """
    text = " ".join(name.replace('"', " ").split())
    if not text or "@" in text:
        return "", address.partition("@")[0]
    if text.count(",") == 1:
        last, _, first = (part.strip() for part in text.partition(","))
        return first, last or first or address.partition("@")[0]
    first, _, last = text.rpartition(" ")
    return first, last


def with_entities(reading: RecordReading, resolved: Mapping[RecordKey, uuid.UUID]) -> dict[str, Any]:
    """Return the fields with references and participants replaced by the entities they mean."""
    fields = dict(reading.fields)
    for name, subject in reading.references.items():
        fields[name] = str(resolved[subject.key])
    if reading.participants:
        for name, value in fields.items():
            if isinstance(value, list):
                fields[name] = [_participant(item, reading, resolved) for item in value]
    return fields


def _participant(
    item: Mapping[str, str], reading: RecordReading, resolved: Mapping[RecordKey, uuid.UUID]
) -> dict[str, str]:
    found = reading.participants.get(item["address"].strip().lower())
    entity_id = resolved.get(found[0].key) if found else None
    return {**item, "entity_id": str(entity_id)} if entity_id else dict(item)
