"""Takes out of a batch what CRMs only say because we wrote it, before identity is asked and anything is projected.

A record that a delivery holds belongs to that delivery's entity, whoever else identity would take it for. Judged in
log order, each look moving on what is known for the next.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import msgspec
from msgspec import structs

from headwater.kernel.ids import ObjectName
from headwater.policy.document import OutboundObject, PolicyDocument
from headwater.policy.inbound import reach
from headwater.policy.outbound import desired_fields, minimal_patch
from headwater.policy.words import FieldType
from headwater.sync.domain.echoing import CrmKey, HeldRecord, Observation, OwnWrite, differs, judge
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, RecordKey
from headwater.sync.domain.reading import Echo, Reading, RecordReading

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A delivery that holds a CRM record, and its entity's values.

    Args:
        waits: something is to be written, or is being written.
    """

    key: CrmKey
    entity_id: uuid.UUID
    object: str
    known: Mapping[str, Any]
    values: Mapping[str, Any]
    waits: bool = False


class HeldRecords(Protocol):
    """What is stored about CRM records. Every method may raise Unavailable."""

    async def find(self, keys: Sequence[CrmKey]) -> Mapping[CrmKey, FoundRecord]:
        """Return the deliveries that hold these CRM records."""
        ...

    async def own_writes(
        self, records: Sequence[tuple[str, str, uuid.UUID]]
    ) -> Mapping[tuple[str, str, uuid.UUID], Sequence[OwnWrite]]:
        """Return our writes of late, by tenant, connector and entity."""
        ...


@dataclass(frozen=True, slots=True)
class _Look:
    """One event as a look at a CRM record.

    Args:
        places: where the record may be: one CRM object for each mapping of its canonical object.
    """

    reading: RecordReading
    places: tuple[tuple[CrmKey, OutboundObject], ...]
    shown: Mapping[str, Any]
    types: Mapping[str, FieldType]
    canonical: Mapping[str, str]
    skew_s: float

    def held_in(self, held: Mapping[CrmKey, HeldRecord]) -> HeldRecord | None:
        """Return the delivery that holds the record, None when none does."""
        return next((held[key] for key, _ in self.places if key in held), None)


@dataclass(slots=True)
class Judged:
    """A batch without its echoes.

    Args:
        held: records whose entity their delivery tells.
        sightings: records of two-way accounts that no delivery holds, by record: to be bound to their entities.
    """

    readings: list[Reading]
    held: dict[RecordKey, uuid.UUID] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    sightings: dict[RecordKey, tuple[CrmKey, Mapping[str, Any]]] = field(default_factory=dict)

    def observed(self, resolved: Mapping[RecordKey, uuid.UUID]) -> list[Observation]:
        """Return everything seen, now that the entities are known; the last look at a record counts."""
        bound = [
            Observation(key, resolved[record], fields)
            for record, (key, fields) in self.sightings.items()
            if record in resolved
        ]
        merged: dict[tuple[CrmKey, uuid.UUID], Observation] = {}
        for item in (*bound, *self.observations):
            before = merged.get((item.key, item.entity_id))
            fields = {**before.fields, **item.fields} if before else item.fields
            merged[(item.key, item.entity_id)] = replace(item, fields=fields)
        return list(merged.values())


class Echoes:
    """Judges batches; holds no state between them."""

    def __init__(self, store: HeldRecords) -> None:
        self._store = store

    def concern(self, policies: Mapping[str, PolicyDocument], readings: Sequence[Reading]) -> bool:
        """Say whether any of *readings* may be an echo."""
        return any(True for reading in readings for _ in _looks(policies, reading))

    async def judge(self, policies: Mapping[str, PolicyDocument], readings: Sequence[Reading]) -> Judged:
        """Return *readings* without what is an echo. Raises: Unavailable."""
        looks = {id(look.reading): look for reading in readings for look in _looks(policies, reading)}
        if not looks:
            return Judged(list(readings))
        outbounds = {key: outbound for look in looks.values() for key, outbound in look.places}
        found = await self._store.find(list(outbounds))
        held = {key: _held(record, outbounds[key]) for key, record in found.items()}
        await self._add_writes(held, looks.values())
        judged = Judged([])
        for reading in readings:
            look = looks.get(id(reading))
            judged.readings.append(reading if look is None else _judge(judged, look, look.held_in(held)))
        return judged

    async def _add_writes(self, held: Mapping[CrmKey, HeldRecord], looks: Iterable[_Look]) -> None:
        wanted: list[HeldRecord] = []
        for look in looks:
            record = look.held_in(held)
            if record is not None and differs(record, look.shown, look.types):
                wanted.append(record)
        if wanted:
            writes = await self._store.own_writes(list(dict.fromkeys(map(_place, wanted))))
            for record in wanted:
                record.writes = writes.get(_place(record), ())


def _place(record: HeldRecord) -> tuple[str, str, uuid.UUID]:
    return (record.tenant_id, record.connector, record.entity_id)


def _judge(judged: Judged, look: _Look, held: HeldRecord | None) -> Reading:
    event, record = look.reading.event, look.reading.subject.key
    if held is None:
        key, outbound = look.places[0]
        if outbound.direction == "two_way" and not look.reading.deleted:
            mapped = {name: value for name, value in look.shown.items() if name in outbound.fields}
            judged.sightings[record] = (key, mapped)
        return look.reading
    judged.held[record] = held.entity_id
    if look.reading.deleted:
        return look.reading
    verdict = judge(held, look.shown, look.types, event.event_time, look.skew_s)
    if verdict.observed:
        judged.observations.append(Observation(held.key, held.entity_id, dict(verdict.observed)))
    if not verdict.changed:
        return Echo(event)
    kept = {look.canonical[name] for name in verdict.changed}
    return structs.replace(
        look.reading,
        fields={name: value for name, value in look.reading.fields.items() if name in kept},
        references={name: item for name, item in look.reading.references.items() if name in kept},
    )


def _looks(policies: Mapping[str, PolicyDocument], reading: Reading) -> Iterable[_Look]:
    """Yield *reading* as a look at a CRM record, when its source is a system that is written to."""
    if not isinstance(reading, RecordReading):
        return
    event = reading.event
    document = policies.get(event.tenant_id)
    if document is None:
        return
    object_name = cast("ObjectName", event.object)
    for name, connector in document.connectors.items():
        targets = connector.objects.get(object_name, ()) if connector.system == event.source else ()
        if targets and connector.enabled:
            shown, canonical = _shown(document, event)
            fields = document.objects[object_name].fields
            types = {path: fields[held].type for path, held in canonical.items()}
            places = tuple(
                ((event.tenant_id, name, item.target, event.external_id), item) for item in targets
            )
            skew_s = document.systems[event.source].echo_skew_s
            yield _Look(reading, places, shown, types, canonical, skew_s)
            return


def _shown(document: PolicyDocument, event: LogEvent) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the payload's mapped fields in the CRM's words, and their canonical names."""
    inbound = document.systems[event.source].inbound.get(cast("ObjectName", event.object))
    if inbound is None or event.operation == OPERATION_DELETE:
        return {}, {}
    payload = _decode(event.payload)
    shown: dict[str, Any] = {}
    canonical: dict[str, str] = {}
    for path, item in inbound.readings():
        present, value = reach(payload, path)
        if present:
            shown[path], canonical[path] = value, item.field
    return shown, canonical


def _held(record: FoundRecord, outbound: OutboundObject) -> HeldRecord:
    tenant_id, connector, crm_object, crm_id = record.key
    coming = minimal_patch(desired_fields(outbound, record.values), record.known) if record.waits else {}
    return HeldRecord(
        tenant_id,
        connector,
        record.entity_id,
        record.object,
        crm_object,
        crm_id,
        dict(record.known),
        frozenset(outbound.fields),
        coming,
    )
