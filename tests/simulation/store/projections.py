"""The port `Projections` over the tables of a simulation: optimistic where Postgres locks, alike in outcome.

A transaction reads what is committed, keeps what it writes to itself, and commits all of it in one step. Where
another one has changed an entity that it had locked, Postgres would have made one of them wait or fail; here the
later one is told `StoreRaced`. A lease that was lost since the begin makes the commit fail.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from tests.simulation.store.claiming import may_be_written
from tests.simulation.store.link import Link
from tests.simulation.store.tables import AuditRow, DeliveryRow, Tables

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.echoing import Observation, Seen
from headwater.sync.domain.lanes import Lane
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.log import NOWHERE, START, LogEvent, Position, RecordKey
from headwater.sync.domain.projecting import Effect, Mark, Workspace
from headwater.sync.domain.reading import Parked
from headwater.sync.domain.settling import State
from headwater.sync.domain.states import EntityKey, EntityState, Loaded, RecordState
from headwater.sync.ports import StoreRaced, StoreRefused
from headwater.sync.wakeup import DELIVERY_CHANNEL


class MemoryProjections:
    """The projection's tables, one transaction at a time."""

    def __init__(self, tables: Tables, link: Link) -> None:
        self._tables = tables
        self._link = link

    @asynccontextmanager
    async def transaction(self, leases: Sequence[Lease]) -> AsyncIterator[MemoryUnit]:
        """Begin a transaction under *leases*; it commits when the block ends without an error."""
        await self._link.call("begin", lambda: self._check(leases), may_race=False)
        unit = self.new_unit()
        yield unit
        await self._link.call("commit", lambda: self._commit(leases, unit))

    def new_unit(self) -> MemoryUnit:
        """Return a transaction's own part."""
        return MemoryUnit(self._tables, self._link)

    def _check(self, leases: Sequence[Lease]) -> None:
        lost = [lease.name for lease in leases if not self._tables.holds(lease.name, lease.fence)]
        if lost:
            raise FenceLost(sorted(lost))

    def _commit(self, leases: Sequence[Lease], unit: MemoryUnit) -> None:
        taken = [item.name for item in leases if self._tables.leases[item.name].fence != item.fence]
        if taken:
            raise FenceLost(sorted(taken))
        unit.commit()


@dataclass(slots=True)
class MemoryUnit:
    """One transaction of the projector."""

    tables: Tables
    link: Link
    _seen: dict[EntityKey, int] = field(default_factory=dict)
    _stubs: dict[EntityKey, str] = field(default_factory=dict)
    _workspace: Workspace | None = None
    _contexts: Mapping[uuid.UUID, TraceContext] = field(default_factory=dict)
    _mark_time: dt.datetime | None = None
    _effects: list[Effect] = field(default_factory=list)
    _positions: dict[int, Position] = field(default_factory=dict)
    _shown: list[Seen] = field(default_factory=list)

    async def load(
        self, homes: Mapping[RecordKey, uuid.UUID | None], further: Mapping[EntityKey, str]
    ) -> Loaded:
        """Lock and return the entities of records and further ones, with all their records."""
        found = await self.find_records(list(homes))
        wanted = dict(further)
        for key, home in homes.items():
            if (entity_id := found.get(key) or home) is not None:
                wanted[(key.tenant_id, entity_id)] = key.object
        entities = await self.lock_entities(wanted)
        members = await self.read_members([item.key for item in entities])
        return Loaded(entities, members, await self._find_moved(homes, members))

    async def _find_moved(
        self, homes: Mapping[RecordKey, uuid.UUID | None], members: Sequence[RecordState]
    ) -> dict[RecordKey, uuid.UUID]:
        loaded = {record.key for record in members}
        unseen = [key for key in homes if key not in loaded]
        return await self.find_records(unseen) if unseen else {}

    async def find_records(self, keys: Sequence[RecordKey]) -> dict[RecordKey, uuid.UUID]:
        """Return the entities that hold those of *keys* that are known."""
        held = self.tables.records
        return await self.link.call(
            "find_records", lambda: {key: held[key].entity_id for key in keys if key in held}
        )

    async def lock_entities(self, wanted: Mapping[EntityKey, str]) -> list[EntityState]:
        """Lock *wanted* (entity to object), making room for new ones, and return them."""
        return await self.link.call("lock_entities", lambda: self._lock(wanted))

    def _lock(self, wanted: Mapping[EntityKey, str]) -> list[EntityState]:
        found: list[EntityState] = []
        for key in sorted(wanted):
            held = self.tables.entities.get(key)
            if held is None:
                self._stubs[key] = wanted[key]
                held = EntityState(key[0], key[1], wanted[key])
            self._seen.setdefault(key, self.tables.entity_changes.get(key, 0))
            found.append(replace(held, fields=dict(held.fields)))
        return found

    async def read_members(self, entities: Iterable[EntityKey]) -> list[RecordState]:
        """Return every record of *entities*."""
        wanted = list(entities)
        return await self.link.call(
            "read_members",
            lambda: [
                replace(record, fields=dict(record.fields))
                for key in wanted
                for record in self.tables.members.get(key, {}).values()
            ],
        )

    async def write_workspace(self, workspace: Workspace, contexts: Mapping[uuid.UUID, TraceContext]) -> None:
        """Keep what a workspace has changed until the commit; due times are of now, as statements have them."""

        def keep() -> None:
            _refuse_impossible(workspace)
            self._workspace, self._contexts, self._mark_time = workspace, contexts, self.tables.now()

        await self.link.call("write_workspace", keep)

    async def write_effects(
        self, effects: Sequence[Effect], contexts: Mapping[uuid.UUID, TraceContext]
    ) -> None:
        """Keep how each event ended until the commit."""
        del contexts

        def keep() -> None:
            known = self.tables.projections
            twice = [item for item in effects if (item.event.tenant_id, item.event.event_key) in known]
            if twice:
                raise StoreRefused(f"UniqueViolationError: projection_pkey {twice[0].event.event_key}")
            self._effects += effects

        await self.link.call("write_effects", keep)

    async def observe(self, seen: Seen) -> None:
        """Keep what CRM records were seen to hold, and what was decided about events, until the commit."""
        await self.link.call("observe", lambda: self._shown.append(seen))

    async def suppressions(self) -> int:
        """Return that nobody was erased: orders of people are not simulated."""
        return 0

    async def erase_events(self, events: Sequence[LogEvent]) -> None:
        """Refuse: there is nobody to be erased."""
        raise AssertionError(f"{len(events)} events of nobody")

    async def park(self, readings: Sequence[Parked]) -> None:
        """Refuse: no tenant lacks anything."""
        raise AssertionError(f"{len(readings)} events of tenants that lack nothing")

    async def unpark(self, events: Sequence[LogEvent]) -> None:
        """Refuse: nothing was set aside."""
        raise AssertionError(f"{len(events)} events that were never set aside")

    async def move_cursors(
        self, positions: Mapping[int, Position], further: Mapping[int, Position] = NOWHERE
    ) -> None:
        """Keep the new positions until the commit."""
        await self.link.call("move_cursors", lambda: self._positions.update({**positions, **further}))

    def commit(self) -> None:
        """Make everything visible at once. Raises: StoreRaced, StoreRefused."""
        tables = self.tables
        if any(tables.entity_changes.get(key, 0) != seen for key, seen in self._seen.items()):
            raise StoreRaced("another transaction changed an entity meanwhile")
        changed = self._workspace.records_changed.values() if self._workspace is not None else ()
        if any(record.fresh and record.key in tables.records for record in changed):
            raise StoreRaced("another transaction placed a record meanwhile")
        for effect in self._effects:
            place = (effect.event.tenant_id, effect.event.event_key)
            if place in tables.projections:
                raise StoreRefused(f"UniqueViolationError: projection_pkey {place[1]}")
        for key, name in self._stubs.items():
            tables.entities.setdefault(key, EntityState(key[0], key[1], name))
        for effect in self._effects:
            tables.projections[(effect.event.tenant_id, effect.event.event_key)] = effect
        if self._workspace is not None:
            self._write(self._workspace)
        for seen in self._shown:
            self._learn(seen)
        for shard, position in self._positions.items():
            tables.cursors[shard] = max(tables.cursors.get(shard, START), position)

    def _learn(self, seen: Seen) -> None:
        for ruling in seen.rulings:
            self.tables.rulings.setdefault((ruling.tenant_id, ruling.event_key), ruling)
        for observation in seen.observations:
            self._observe(observation)

    def _observe(self, seen: Observation) -> None:
        tenant_id, connector, crm_object, crm_id = seen.key
        account = self.tables.account((tenant_id, connector))
        place = (crm_object, crm_id)
        holder = next((row for row in account.values() if (row.crm_object, row.crm_id) == place), None)
        row = account.get(seen.entity_id)
        if row is None or not (holder is row or (holder is None and not row.crm_id)):
            return
        if row.crm_id or not may_be_written(self.tables, row):
            known = {**row.known, **seen.fields}
            row.known = {name: value for name, value in known.items() if value is not None}
        row.crm_object, row.crm_id = place

    def _write(self, workspace: Workspace) -> None:
        tables = self.tables
        for record in workspace.records_changed.values():
            before = tables.records.get(record.key)
            if before is not None:
                tables.members[(record.key.tenant_id, before.entity_id)].pop(record.key)
            kept = replace(record, fields=dict(record.fields), fresh=False)
            tables.records[record.key] = kept
            tables.members.setdefault((record.key.tenant_id, record.entity_id), {})[record.key] = kept
        for key, entity in workspace.entities_changed.items():
            tables.entities[key] = replace(entity, fields=dict(entity.fields))
            tables.entity_changes[key] = tables.entity_changes.get(key, 0) + 1
            self._write_references(key, workspace, entity)
        for note in workspace.audit:
            tables.audit.append(
                AuditRow(
                    note.tenant_id,
                    note.action,
                    note.actor,
                    note.entity_id,
                    note.event_key,
                    "",
                    note.changes,
                    tables.now(),
                )
            )
        for mark in workspace.marks.values():
            self._mark(mark)
        if workspace.marks:
            named = sorted({(mark.tenant_id, mark.connector) for mark in workspace.marks.values()})
            tables.notify(DELIVERY_CHANNEL, json.dumps(named))

    def _write_references(self, key: EntityKey, workspace: Workspace, entity: EntityState) -> None:
        tables = self.tables
        for _, target in tables.references.get(key, ()):
            tables.referrers.get((key[0], target), set()).discard(key[1])
        found = tuple((name, target) for _, _, name, target in workspace.references(entity))
        tables.references[key] = found
        for _, target in found:
            tables.referrers.setdefault((key[0], target), set()).add(key[1])

    def _mark(self, mark: Mark) -> None:
        assert self._mark_time is not None
        now, event = self._mark_time, mark.event
        account = self.tables.account((mark.tenant_id, mark.connector))
        trace = self._contexts.get(event.event_key) or event.trace
        row, lane = account.get(mark.entity_id), Lane(mark.lane)
        if row is None:
            account[mark.entity_id] = DeliveryRow(
                mark.tenant_id, mark.connector, mark.entity_id, mark.object, State.PENDING, mark.version,
                event.event_key, now, event.record_time, lane, now, trace,
            )  # fmt: skip
            return
        stopped = not row.is_due
        row.desired_version = max(row.desired_version, mark.version)
        row.event_key, row.trace, row.mark_time = event.event_key, trace, now
        if row.state is State.DELIVERED:
            row.dirty_time = event.record_time
        if row.state in {State.DEAD, State.DISCARDED}:
            changes = ({"field": "failure_count", "before": None, "after": 0, "rule": "new_mark"},)
            self.tables.audit.append(
                AuditRow(
                    mark.tenant_id,
                    "revived",
                    "sync",
                    mark.entity_id,
                    event.event_key,
                    mark.connector,
                    changes,
                    self.tables.now(),
                )
            )
        if stopped:
            doubtful = row.doubt and row.state is not State.DELIVERED
            row.state, row.due_time, row.lane = State.IN_DOUBT if doubtful else State.PENDING, now, lane
            row.failure_count = 0
        elif lane < row.lane:
            row.lane, row.due_time = lane, max(row.due_time, now)


def _refuse_impossible(workspace: Workspace) -> None:
    """Postgres holds no text with a zero byte, in records as little as in entities."""
    said = (fact.value for record in workspace.records_changed.values() for fact in record.fields.values())
    shown = (
        chosen.value for entity in workspace.entities_changed.values() for chosen in entity.fields.values()
    )
    if any("\0" in str(value) for value in (*said, *shown)):
        raise StoreRefused("UntranslatableCharacterError: \\u0000 cannot be converted to text")
