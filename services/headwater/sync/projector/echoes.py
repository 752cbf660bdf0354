"""Takes out of a batch what CRMs only say because we wrote it, before identity is asked and anything is projected.

A record that a delivery holds belongs to that delivery's entity, whoever else identity would take it for; so does one
that it held and had to give up, of which nothing counts that was said before that, and one that carries the entity's
id and may be what a write made of which we never heard the end. Judged in
log order, each look moving on what is known for the next. Rulings are recorded with how the events ended: what was
decided once is not decided anew when the log is projected again, by when deliveries know other things.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from msgspec import structs

from headwater.policy.document import PolicyDocument
from headwater.policy.outbound import Unwritable, desired_fields, fill_empty, minimal_patch
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.domain.echoing import (
    GONE_RECORD,
    CrmKey,
    FormerRecord,
    HeldRecord,
    Observation,
    OwnWrite,
    Ruling,
    Seen,
    differs,
    judge,
)
from headwater.sync.domain.log import START, Position, RecordKey
from headwater.sync.domain.reading import Echo, Reading
from headwater.sync.projector.looking import Look, looks_of

Place = tuple[str, str, uuid.UUID]
"""Tenant, connector and entity."""


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A delivery that holds a CRM record, and its entity's values.

    Args:
        waits_since: since when something is to be written, is being written, or may have been without our knowing;
            None: the CRM is up to date.
        settle_time: when a write to it was known to have succeeded, last.
    """

    key: CrmKey
    entity_id: uuid.UUID
    object: str
    known: Mapping[str, Any]
    values: Mapping[str, Any]
    waits_since: dt.datetime | None = None
    settle_time: dt.datetime | None = None


class HeldRecords(Protocol):
    """What is stored about CRM records. Every method may raise Unavailable."""

    async def find(self, keys: Sequence[CrmKey]) -> Mapping[CrmKey, FoundRecord]:
        """Return the deliveries that hold these CRM records."""
        ...

    async def find_former(self, keys: Sequence[CrmKey]) -> Mapping[CrmKey, FormerRecord]:
        """Return which of these CRM records deliveries held and had to give up."""
        ...

    async def find_written(self, places: Sequence[Place]) -> Mapping[Place, FoundRecord]:
        """Return deliveries for which we have written a CRM record, or may have without knowing its id."""
        ...

    async def own_writes(self, records: Sequence[Place]) -> Mapping[Place, Sequence[OwnWrite]]:
        """Return our writes of late, by tenant, connector and entity."""
        ...

    async def sought(
        self, waits_since: Mapping[Place, dt.datetime]
    ) -> Mapping[Place, Sequence[tuple[str, Any]]]:
        """Return canonical field and value of what writes under way may carry: what the entities held since then."""
        ...

    async def ruled_to(self, shards: Sequence[int]) -> Mapping[int, Position]:
        """Return up to where events of shards were ruled on before; empty unless the log is projected again."""
        ...

    async def rulings(self, events: Sequence[tuple[str, uuid.UUID]]) -> Mapping[uuid.UUID, Ruling]:
        """Return what was decided about events, by event key; nothing for those that show no record of ours."""
        ...


@dataclass(slots=True)
class Judged:
    """A batch without its echoes.

    Args:
        held: records whose entity their delivery tells.
        sightings: records of two-way accounts that no delivery holds, by record: to be bound to their entities.
        unheld: looks at these, by place among the readings.
    """

    readings: list[Reading]
    held: dict[RecordKey, uuid.UUID] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    sightings: dict[RecordKey, tuple[CrmKey, Mapping[str, Any]]] = field(default_factory=dict)
    unheld: dict[int, Look] = field(default_factory=dict)
    rulings: list[Ruling] = field(default_factory=list)

    def seen(self, resolved: Mapping[RecordKey, uuid.UUID]) -> Seen:
        """Return what is to be stored of the looks, now that the entities are known."""
        return Seen(self.observed(resolved), self.rulings)

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


@dataclass(slots=True)
class _Written:
    """What looks are at, by whatever numbers them.

    Args:
        held: records that we may have just made.
        gone: at records that can be no more: since they looked so, the same entity was written elsewhere.
    """

    held: dict[int, HeldRecord] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)


class Echoes:
    """Judges batches; holds no state between them."""

    def __init__(self, store: HeldRecords) -> None:
        self._store = store

    def concern(self, policies: Mapping[str, PolicyDocument], readings: Sequence[Reading]) -> bool:
        """Say whether any of *readings* may be an echo."""
        return any(True for reading in readings for _ in looks_of(policies, reading))

    async def judge(self, policies: Mapping[str, PolicyDocument], readings: Sequence[Reading]) -> Judged:
        """Return *readings* without what is an echo. Raises: Unavailable."""
        looks = {id(look.reading): look for reading in readings for look in looks_of(policies, reading)}
        if not looks:
            return Judged(list(readings))
        told, old = await self._recorded(list(looks.values()))
        fresh = [look for look in looks.values() if id(look.reading) not in old]
        held = await self._held(fresh)
        former = await self._former(fresh, held)
        marked = await self._marked(
            [item for item in fresh if item.held_in(held) is None and item.home_in(former) is None]
        )
        judged = Judged([])
        for number, reading in enumerate(readings):
            look = looks.get(id(reading))
            if look is None:
                judged.readings.append(reading)
            elif id(reading) in old:
                judged.readings.append(_rule(judged, look, told.get(reading.event.event_key)))
            elif (home := look.home_in(former)) is not None:
                judged.readings.append(_leave(judged, look, home))
            elif (made := marked.held.get(id(reading))) is not None:
                judged.readings.append(_count(judged, look, made, observes=False))
            elif id(reading) in marked.gone and look.mark is not None:
                judged.readings.append(_leave(judged, look, look.mark))
            else:
                judged.readings.append(_judge(judged, look, look.held_in(held), number))
        return judged

    async def recall(
        self, policies: Mapping[str, PolicyDocument], readings: Sequence[Reading]
    ) -> list[Reading]:
        """Return what of *readings*, all of them judged before, counted then. Raises: Unavailable."""
        looks = {id(look.reading): look for reading in readings for look in looks_of(policies, reading)}
        if not looks:
            return list(readings)
        events = [look.reading.event for look in looks.values()]
        told = await self._store.rulings([(event.tenant_id, event.event_key) for event in events])
        judged = Judged([])
        return [
            reading
            if (look := looks.get(id(reading))) is None
            else _rule(judged, look, told.get(reading.event.event_key))
            for reading in readings
        ]

    async def bind(self, judged: Judged, resolved: Mapping[RecordKey, uuid.UUID]) -> Judged:
        """Take out what is an echo of a record that we may have just made, now that entities are known.

        Raises: Unavailable.
        """
        places = {
            number: (*look.places[0][0][:2], resolved[look.record])
            for number, look in judged.unheld.items()
            if look.record in resolved
        }
        if not places:
            return judged
        looks = {number: (judged.unheld[number], place) for number, place in places.items()}
        for number, item in (await self._written(looks)).held.items():
            judged.readings[number] = _count(judged, judged.unheld[number], item, observes=False)
        return judged

    async def _marked(self, looks: Sequence[Look]) -> _Written:
        """Return what the marks of *looks* tell, by id of the reading."""
        wanted = {
            id(look.reading): (look, (*look.places[0][0][:2], look.mark))
            for look in looks
            if look.mark is not None
        }
        return await self._written(wanted)

    async def _written(self, wanted: Mapping[int, tuple[Look, Place]]) -> _Written:
        """Return which of these looks may be, or were, at a record that we wrote for the entity beside it."""
        if not wanted:
            return _Written()
        found = await self._store.find_written(list(dict.fromkeys(place for _, place in wanted.values())))
        written = _Written()
        for number, (look, place) in wanted.items():
            record = found.get(place)
            if record is None:
                continue
            outbound = next((item for key, item in look.places if _is_same(record.key, key)), None)
            if outbound is not None:
                written.held[number] = _held(record, outbound)
            elif look.is_before(record.settle_time):
                written.gone.add(number)
        await self._add_sought([(item, wanted[number][0]) for number, item in written.held.items()])
        return written

    async def _recorded(self, looks: Sequence[Look]) -> tuple[Mapping[uuid.UUID, Ruling], set[int]]:
        """Return what was decided before, and which readings (by id) that is about."""
        ruled = await self._store.ruled_to(sorted({look.reading.event.shard for look in looks}))
        old = [
            look.reading
            for look in looks
            if look.reading.event.position <= ruled.get(look.reading.event.shard, START)
        ]
        if not old:
            return {}, set()
        told = await self._store.rulings([(item.event.tenant_id, item.event.event_key) for item in old])
        return told, set(map(id, old))

    async def _held(self, looks: Sequence[Look]) -> dict[CrmKey, HeldRecord]:
        outbounds = {key: outbound for look in looks for key, outbound in look.places}
        if not outbounds:
            return {}
        found = await self._store.find(list(outbounds))
        held = {key: _held(record, outbounds[key]) for key, record in found.items()}
        differing = [
            (record, look)
            for look in looks
            if (record := look.held_in(held)) is not None and differs(record, look.shown, look.types)
        ]
        if differing:
            writes = await self._store.own_writes(list(dict.fromkeys(_place(item) for item, _ in differing)))
            for record, _ in differing:
                record.writes = writes.get(_place(record), ())
        await self._add_sought([item for item in differing if item[0].waits_since])
        return held

    async def _former(
        self, looks: Sequence[Look], held: Mapping[CrmKey, HeldRecord]
    ) -> Mapping[CrmKey, FormerRecord]:
        """Return the records that deliveries had to give up, among those that none holds."""
        unheld = [key for look in looks if look.held_in(held) is None for key, _ in look.places]
        return await self._store.find_former(list(dict.fromkeys(unheld))) if unheld else {}

    async def _add_sought(self, wanted: Sequence[tuple[HeldRecord, Look]]) -> None:
        if not wanted:
            return
        since = {_place(record): record.waits_since for record, _ in wanted if record.waits_since is not None}
        sought = await self._store.sought(since)
        for record, look in wanted:
            values = sought.get(_place(record), ())
            record.sought = {
                path: [value for name, value in values if name == canonical]
                for path, canonical in look.canonical.items()
            }


def _is_same(written: CrmKey, seen: CrmKey) -> bool:
    """Tell whether the record that was seen may be the one that we wrote."""
    return written[3] in {"", seen[3]} and written[2] in {"", seen[2]}


def _place(record: HeldRecord) -> Place:
    return (record.tenant_id, record.connector, record.entity_id)


def _judge(judged: Judged, look: Look, held: HeldRecord | None, number: int) -> Reading:
    if held is not None:
        return _count(judged, look, held)
    if look.is_sighting:
        key, outbound = look.places[0]
        mapped = {name: value for name, value in look.shown.items() if name in outbound.fields}
        judged.sightings[look.record] = (key, mapped)
        judged.unheld[number] = look
    return look.reading


def _count(judged: Judged, look: Look, held: HeldRecord, *, observes: bool = True) -> Reading:
    """Return what of *look* at the record *held* counts, and note that."""
    event = look.reading.event
    kept: tuple[str, ...] = ()
    if not look.reading.deleted:
        verdict = judge(held, look.shown, look.types, event.event_time, look.skew_s)
        if verdict.observed and observes:
            judged.observations.append(Observation(held.key, held.entity_id, dict(verdict.observed)))
        kept = tuple(sorted({look.canonical[name] for name in verdict.changed}))
    ruling = Ruling(event.tenant_id, event.event_key, held.entity_id, kept)
    judged.rulings.append(ruling)
    return _apply(judged, look, ruling)


def _leave(judged: Judged, look: Look, home: uuid.UUID) -> Reading:
    """Note that nothing counts of *look* at a record that was of *home* and is gone, save that it was deleted."""
    event = look.reading.event
    ruling = Ruling(event.tenant_id, event.event_key, home, (), GONE_RECORD)
    judged.rulings.append(ruling)
    return _apply(judged, look, ruling)


def _rule(judged: Judged, look: Look, ruling: Ruling | None) -> Reading:
    """Return what counted when *look* was judged; what no ruling is about showed no record of ours."""
    return look.reading if ruling is None else _apply(judged, look, ruling)


def _apply(judged: Judged, look: Look, ruling: Ruling) -> Reading:
    reading = look.reading
    judged.held[look.record] = ruling.entity_id
    if reading.deleted:
        return reading
    if not ruling.kept:
        return Echo(reading.event, ruling.rule)
    return structs.replace(
        reading,
        fields={name: value for name, value in reading.fields.items() if name in ruling.kept},
        references={name: item for name, item in reading.references.items() if name in ruling.kept},
    )


def _coming(record: FoundRecord, outbound: OutboundObject) -> dict[str, Any]:
    try:
        coming = minimal_patch(desired_fields(outbound, record.values), record.known)
        return (
            fill_empty(outbound.if_empty, coming, record.known, None).patch if outbound.if_empty else coming
        )
    except Unwritable:
        return {}  # its delivery fails by itself, and writes nothing


def _held(record: FoundRecord, outbound: OutboundObject) -> HeldRecord:
    tenant_id, connector, crm_object, crm_id = record.key
    coming = _coming(record, outbound) if record.waits_since else {}
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
        waits_since=record.waits_since,
    )
