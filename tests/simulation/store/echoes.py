"""The port `HeldRecords` over the tables of a simulation."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulation.store.claiming import may_be_written
from tests.simulation.store.link import Link
from tests.simulation.store.tables import DeliveryRow, Tables

from headwater.sync.domain.echoing import CrmKey, FormerRecord, OwnWrite, Ruling
from headwater.sync.domain.log import START, Position
from headwater.sync.projector.echoes import FoundRecord
from headwater.sync.store.echoes import MARGIN_S, WRITES_MAX

Place = tuple[str, str, uuid.UUID]
"""Tenant, connector and entity."""
_WRITES = frozenset({"delivered", "looked_up"})


class MemoryHeldRecords:
    """What is stored about CRM records."""

    def __init__(self, tables: Tables, link: Link) -> None:
        self.tables = tables
        self._link = link

    async def find(self, keys: Sequence[CrmKey]) -> Mapping[CrmKey, FoundRecord]:
        """Return the deliveries that hold these CRM records."""
        return await self._link.call("find_held", lambda: self._find(keys), may_race=False)

    def _find(self, keys: Sequence[CrmKey]) -> dict[CrmKey, FoundRecord]:
        found: dict[CrmKey, FoundRecord] = {}
        for key in keys:
            tenant_id, connector, crm_object, crm_id = key
            for row in self.tables.account((tenant_id, connector)).values():
                if crm_id and (row.crm_object, row.crm_id) == (crm_object, crm_id):
                    found[key] = self.found(key, row)
        return found

    def found(self, key: CrmKey, row: DeliveryRow) -> FoundRecord:
        """Return *row* as a record that is held."""
        entity = self.tables.entities[(row.tenant_id, row.entity_id)]
        values = {name: item.value for name, item in entity.fields.items()}
        shown = values if entity.state == "active" else {}
        waits_since = row.dirty_time if row.is_due or row.try_count > 0 else None
        return FoundRecord(
            key, row.entity_id, row.object, dict(row.known), shown, waits_since, row.settle_time
        )

    async def find_former(self, keys: Sequence[CrmKey]) -> Mapping[CrmKey, FormerRecord]:
        """Return which of these CRM records deliveries held and had to give up."""
        held = self.tables.former
        return await self._link.call(
            "find_former", lambda: {key: held[key] for key in keys if key in held}, may_race=False
        )

    async def find_written(self, places: Sequence[Place]) -> Mapping[Place, FoundRecord]:
        """Return deliveries for which we have written a CRM record, or may have without knowing its id."""
        return await self._link.call("find_written", lambda: self._find_written(places), may_race=False)

    def _find_written(self, places: Sequence[Place]) -> dict[Place, FoundRecord]:
        rows = {place: self.tables.account(place[:2]).get(place[2]) for place in places}
        return {
            place: self.found((*place[:2], row.crm_object, row.crm_id), row)
            for place, row in rows.items()
            if row is not None and (row.crm_id or may_be_written(self.tables, row))
        }

    async def sought(
        self, waits_since: Mapping[Place, dt.datetime]
    ) -> Mapping[Place, Sequence[tuple[str, Any]]]:
        """Return canonical field and value of what writes under way may carry."""
        return await self._link.call(
            "read_sought",
            lambda: {place: self._sought(place, time) for place, time in waits_since.items()},
            may_race=False,
        )

    def _sought(self, place: Place, waits_since: dt.datetime) -> list[tuple[str, Any]]:
        since = waits_since - dt.timedelta(seconds=MARGIN_S)
        notes = [
            note
            for note in self.tables.audit
            if (note.tenant_id, note.connector, note.entity_id) == (place[0], "", place[2])
            and note.time >= since
        ]
        return [(item["field"], item.get("after")) for note in notes[-WRITES_MAX:] for item in note.changes]

    async def ruled_to(self, shards: Sequence[int]) -> Mapping[int, Position]:
        """Return nothing: no log is projected twice here."""
        return await self._link.call("read_rebuild", lambda: dict.fromkeys(shards, START), may_race=False)

    async def rulings(self, events: Sequence[tuple[str, uuid.UUID]]) -> Mapping[uuid.UUID, Ruling]:
        """Return what was decided about events."""
        held = self.tables.rulings
        return await self._link.call(
            "read_rulings", lambda: {event[1]: held[event] for event in events if event in held}
        )

    async def own_writes(self, records: Sequence[Place]) -> Mapping[Place, Sequence[OwnWrite]]:
        """Return our writes of late."""
        return await self._link.call(
            "read_own_writes", lambda: {place: self._writes(place) for place in records}, may_race=False
        )

    def _writes(self, place: Place) -> list[OwnWrite]:
        notes = [
            note
            for note in self.tables.audit
            if (note.tenant_id, note.connector, note.entity_id) == place and note.action in _WRITES
        ]
        return [
            OwnWrite(item["field"], item.get("before"), item.get("after"), note.time)
            for note in notes[-WRITES_MAX:]
            for item in note.changes
        ]
