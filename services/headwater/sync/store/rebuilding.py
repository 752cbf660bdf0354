"""One entity made again, on Postgres: under its row's lock, as the projector takes it.

Works with the service's own rights, whoever calls. So every statement names the tenant, which the door has checked against
the caller's credential.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.kernel.record_hash import record_hash
from headwater.sync.domain.log import LogEvent, Position, RecordKey
from headwater.sync.domain.rebuilding import History, Rebuilt, is_projected
from headwater.sync.domain.states import EntityKey, RecordState
from headwater.sync.projector.moments import RecordedPolicy
from headwater.sync.rebuilding.ports import EVENTS_MAX, NOTHING, RECORDS_MAX, HistoryTooLong, Standing
from headwater.sync.store.clock import read_time
from headwater.sync.store.faults import translated
from headwater.sync.store.logged import logged_event
from headwater.sync.store.moments import PostgresMoments
from headwater.sync.store.projection import ProjectionTransaction, loaded_entity

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "rebuilding.sql")
_PROVENANCE: Final = queries.load("headwater.sync", "provenance.sql")
HOPS_MAX: Final = 32
"""Longest chain of merges that is followed."""


class PostgresRebuilding:
    """Port `RebuildStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._moments = PostgresMoments(pool)

    @asynccontextmanager
    async def looking(self, tenant_id: str, entity_id: uuid.UUID) -> AsyncIterator[_Unit]:
        """Begin a transaction that sees one moment, locks nothing and can write nothing."""
        async with (
            translated(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield _Unit(connection, tenant_id, entity_id)

    @asynccontextmanager
    async def taken(self, entity: EntityKey, object_name: str) -> AsyncIterator[_Unit]:
        """Begin a transaction that holds an entity: nothing of it is projected until it ends."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            unit = _Unit(connection, *entity)
            await unit.lock(object_name)
            yield unit

    async def policies(self, tenant_id: str) -> Sequence[RecordedPolicy]:
        """Return the tenant's policies in the order of the log."""
        async with translated():
            rows = await self._pool.fetch(_SQL["versions_of"].text, tenant_id)
        return [
            RecordedPolicy(row["tenant_id"], Position(row["xid"], row["seq"]), row["digest"], row["document"])
            for row in rows
        ]

    async def homes(self, keys: Sequence[RecordKey]) -> Mapping[RecordKey, uuid.UUID]:
        """Return the entities of those of *keys* that are projected."""
        return await self._moments.homes_of(keys)

    async def now(self) -> dt.datetime:
        """Return the time: that of the database."""
        return await read_time(self._pool)


class _Unit:
    """Port `RebuildUnit`: one entity in one transaction."""

    def __init__(self, connection: Connection, tenant_id: str, entity_id: uuid.UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._entity_id = entity_id
        self._projection = ProjectionTransaction(connection, ())

    async def lock(self, object_name: str) -> None:
        """Hold the entity; one whose row is lost gets room for it again."""
        await self._projection.lock_entities({(self._tenant_id, self._entity_id): object_name})

    async def standing(self) -> Standing:
        """Return what stands in the way."""
        place = (self._tenant_id, self._entity_id)
        row = await self._connection.fetchrow(_SQL["stands_at"].text, *place)
        chain = await self._connection.fetch(_PROVENANCE["follow_entity"].text, *place, HOPS_MAX)
        return Standing(
            row is not None and row["rebuilding"],
            (row["erasure"] if row is not None else None) or "",
            tuple(item["entity_id"] for item in chain),
        )

    async def history(self, known: Mapping[uuid.UUID, LogEvent] = NOTHING) -> History:
        """Return the entity and its events, of those *known* without reading them again. Raises: HistoryTooLong."""
        place = (self._tenant_id, self._entity_id)
        members = await self._projection.read_members([place])
        if len(members) > RECORDS_MAX:
            raise HistoryTooLong(f"it has {len(members):,} records, {RECORDS_MAX:,} at most are made again")
        row = await self._connection.fetchrow(_SQL["read_entity"].text, *place)
        references = await self._connection.fetch(_SQL["read_references"].text, *place)
        return History(
            None if row is None else loaded_entity(row),
            members,
            frozenset((row["field"], row["to_entity_id"]) for row in references),
            await self._events(members, known),
            await self._projection.suppressions(),
        )

    async def _events(
        self, members: Sequence[RecordState], known: Mapping[uuid.UUID, LogEvent]
    ) -> list[LogEvent]:
        """Return what is projected of the records' events, in the order of the log.

        The cursors are read first: what is behind them is in the log.
        """
        rows = await self._connection.fetch(_SQL["read_places"].text)
        cursors = {row["shard"]: Position(row["xid"], row["seq"]) for row in rows}
        found = await self._own(members, known)
        found += await self._beside(members, found, known)
        unique = {event.event_key: event for event in found if is_projected(event, cursors)}
        keys = list(unique)
        poisoned = await self._connection.fetch(_SQL["poisoned_events"].text, self._tenant_id, keys)
        for row in poisoned:
            del unique[row["event_key"]]
        return sorted(unique.values(), key=lambda event: event.position)

    async def _own(
        self, members: Sequence[RecordState], known: Mapping[uuid.UUID, LogEvent]
    ) -> list[LogEvent]:
        keys = [item.key for item in members]
        hashes = [record_hash(key.tenant_id, key.source, key.object, key.external_id) for key in keys]
        rows = await self._connection.fetch(
            _SQL["record_event_keys" if known else "record_events"].text,
            self._tenant_id,
            [key.source for key in keys],
            [key.object for key in keys],
            [key.external_id for key in keys],
            hashes,
            EVENTS_MAX + 1,
        )
        return await self._by_key({row["event_key"] for row in rows}, known) if known else _events(rows)

    async def _by_key(self, keys: Iterable[uuid.UUID], known: Mapping[uuid.UUID, LogEvent]) -> list[LogEvent]:
        wanted = sorted(set(keys))
        unknown = [key for key in wanted if key not in known]
        found = [known[key] for key in wanted if key in known]
        if unknown:
            rows = await self._connection.fetch(_SQL["single_events"].text, self._tenant_id, unknown)
            found += _events(rows)
        return found

    async def _beside(
        self,
        members: Sequence[RecordState],
        own: Sequence[LogEvent],
        known: Mapping[uuid.UUID, LogEvent],
    ) -> list[LogEvent]:
        """Return events of other records that speak of these: a mail that names an address has none of the address's own."""
        read, heard = {event.event_key for event in own}, {event.record_key for event in own}
        wanted = {fact.event_key for item in members for fact in item.fields.values()} - read
        if any(item.key not in heard for item in members):
            rows = await self._connection.fetch(
                _SQL["events_beside"].text, self._tenant_id, self._entity_id, EVENTS_MAX + 1
            )
            wanted |= {row["event_key"] for row in rows} - read
        if len(own) + len(wanted) > EVENTS_MAX:
            raise HistoryTooLong(f"it has more than {EVENTS_MAX:,} events, so many at most are read")
        return await self._by_key(wanted, known)

    async def write(self, rebuilt: Rebuilt) -> None:
        """Write what came out otherwise, references too, and the audit's entry."""
        workspace = rebuilt.workspace
        if rebuilt.references:
            key = (self._tenant_id, self._entity_id)
            workspace.entities_changed[key] = workspace.entities[key]
        await self._projection.write_workspace(workspace, {})
        await self._projection.move_cursors({})


def _events(rows: Iterable[Any]) -> list[LogEvent]:
    return [logged_event(row) for row in rows]
