"""Tells which events are looks at records of CRMs that are written to, and what they show. Pure."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from headwater.kernel.ids import ObjectName, parse_uuid
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import reach
from headwater.policy.outbound_mapping import OutboundObject
from headwater.policy.words import FieldType
from headwater.sync.domain.echoing import CrmKey, FormerRecord, HeldRecord
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, RecordKey
from headwater.sync.domain.reading import Reading, RecordReading

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Look:
    """One event as a look at a CRM record.

    Args:
        places: where the record may be: one CRM object for each mapping of its canonical object.
        mark: the entity whose id the record carries.
    """

    reading: RecordReading
    places: tuple[tuple[CrmKey, OutboundObject], ...]
    shown: Mapping[str, Any]
    types: Mapping[str, FieldType]
    canonical: Mapping[str, str]
    skew_s: float
    mark: uuid.UUID | None = None

    @property
    def record(self) -> RecordKey:
        """The record that it shows."""
        return self.reading.subject.key

    @property
    def is_sighting(self) -> bool:
        """Whether a record that no delivery holds is bound to its entity."""
        return self.places[0][1].direction == "two_way" and not self.reading.deleted

    def held_in(self, held: Mapping[CrmKey, HeldRecord]) -> HeldRecord | None:
        """Return the delivery that holds the record, None when none does."""
        return next((held[key] for key, _ in self.places if key in held), None)

    def home_in(self, former: Mapping[CrmKey, FormerRecord]) -> uuid.UUID | None:
        """Return whose record it was when it looked so, None unless its delivery has given it up since."""
        found = (former[key] for key, _ in self.places if key in former)
        return next((item.entity_id for item in found if self.is_before(item.end_time)), None)

    def is_before(self, time: dt.datetime | None) -> bool:
        """Whether the record may have looked so at *time* or earlier, by clocks that differ; None: never."""
        return time is not None and self.reading.event.event_time - dt.timedelta(seconds=self.skew_s) <= time


def looks_of(policies: Mapping[str, PolicyDocument], reading: Reading) -> Iterable[Look]:
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
            payload = {} if event.operation == OPERATION_DELETE else _decode(event.payload)
            shown, canonical = _shown(document, event, payload)
            fields = document.objects[object_name].fields
            types = {path: fields[held].type for path, held in canonical.items()}
            places = tuple(
                ((event.tenant_id, name, item.target, event.external_id), item) for item in targets
            )
            skew_s = document.systems[event.source].echo_skew_s
            yield Look(reading, places, shown, types, canonical, skew_s, _mark(targets, payload))
            return


def _mark(targets: Sequence[OutboundObject], payload: Mapping[str, Any]) -> uuid.UUID | None:
    """Return the entity whose id *payload* carries where we write it."""
    found = (reach(payload, item.external_id) for item in targets)
    return next((mark for there, value in found if there and (mark := parse_uuid(str(value)))), None)


def _shown(
    document: PolicyDocument, event: LogEvent, payload: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the payload's mapped fields in the CRM's words, and their canonical names."""
    inbound = document.systems[event.source].inbound.get(cast("ObjectName", event.object))
    if inbound is None:
        return {}, {}
    shown: dict[str, Any] = {}
    canonical: dict[str, str] = {}
    for path, item in inbound.readings():
        present, value = reach(payload, path)
        if present:
            shown[path], canonical[path] = value, item.field
    return shown, canonical
