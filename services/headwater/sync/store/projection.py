"""The projector's tables: reading the log, loading and writing a workspace, all in batches."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from headwater.kernel.ids import OWN_SOURCE, POLICY_OBJECT
from headwater.kernel.pg import queries
from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.echoing import NOTHING_SEEN, Seen
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.log import NOWHERE, START, LogEvent, Position, RecordKey, Scope, Stretch
from headwater.sync.domain.projecting import Effect, Workspace
from headwater.sync.domain.rows import unpack_facts, unpack_values
from headwater.sync.domain.states import EntityKey, EntityState, Loaded, RecordState
from headwater.sync.lulls import breathe
from headwater.sync.store.behind import write_behind
from headwater.sync.store.columns import (
    ENDS_DIFFER,
    ENTITIES_DIFFER,
    MARKS_DIFFER,
    NOTES_DIFFER,
    RECORDS_DIFFER,
    array_text,
    columns_of,
    entity_row,
    folded,
    mark_row,
    note_row,
    record_row,
    trace_id_of,
)
from headwater.sync.store.enrichment import want_entities
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences
from headwater.sync.store.logged import logged_event
from headwater.sync.store.merges import write_follows
from headwater.sync.store.parked import ParkingTransaction
from headwater.sync.store.suppressions import SuppressingTransaction
from headwater.sync.store.tending import write_tended
from headwater.sync.store.versions import note_versions
from headwater.sync.wakeup import name_accounts

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "projection.sql")
_ECHO = queries.load("headwater.sync", "echo.sql")
_encode: Final = msgspec.json.Encoder().encode
STRETCH: Final = 64
"""Rows that are made at a stretch."""
Item = TypeVar("Item")
_LOST: Final = 0
_ENTITY: Final = 1
_RECORD: Final = 2
_MOVED: Final = 3
"""Kinds of `sync.loaded`."""


class PostgresLog:
    """The event log, read through the functions that ingest publishes, and the shards' cursors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._scope = Scope()

    def scope(self) -> Scope:
        """Return whose events are projected again, as of the last cursors read: it changes only while no process runs."""
        return self._scope

    async def shard_count(self) -> int:
        """Return the number of shards of the log."""
        async with translated():
            count: int = await self._pool.fetchval(_SQL["shard_count"].text)
        return count

    async def current_policies(self) -> list[tuple[str, uuid.UUID, bytes]]:
        """Return tenant, event key and payload of the newest policy event of every tenant."""
        async with translated():
            rows = await self._pool.fetch(_SQL["current_policies"].text)
        return [(row["tenant_id"], row["event_key"], row["payload"]) for row in rows]

    async def read_cursors(self, shards: Sequence[int]) -> dict[int, Position]:
        """Return the position up to which each of *shards* is projected; bulk sides have numbers of their own."""
        async with translated():
            rebuilt = await self._pool.fetch(_SQL["read_scope"].text)
            rows = await self._pool.fetch(_SQL["read_cursors"].text, list(shards))
        reached = {row["shard"]: Position(row["xid"], row["seq"]) for row in rebuilt}
        self._scope = Scope(frozenset(rebuilt[0]["tenants"] if rebuilt else ()), reached)
        return dict.fromkeys(shards, START) | {row["shard"]: Position(row["xid"], row["seq"]) for row in rows}

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> Stretch:
        """Return the next events of several shards in commit order, up to *shard_limit* of each.

        Args:
            after: shard to the position behind which to read.
        """
        shards = sorted(after)
        xids, seqs = [after[shard].xid for shard in shards], [after[shard].seq for shard in shards]
        async with translated():
            rows = await self._pool.fetch(_SQL["read_events"].text, shards, xids, seqs, shard_limit)
        return Stretch([logged_event(row) for row in rows[1:]], held=rows[0]["held"])

    async def read_projected(self, events: Sequence[LogEvent]) -> set[tuple[str, uuid.UUID]]:
        """Return tenant and key of those of *events* that are projected already."""
        tenants, keys = [event.tenant_id for event in events], [event.event_key for event in events]
        async with translated():
            rows = await self._pool.fetch(_SQL["read_projected"].text, tenants, keys)
        return {(row["tenant_id"], row["event_key"]) for row in rows}

    async def report_positions(self, held: Mapping[int, Position]) -> None:
        """Tell the log how far its shards are projected, so that nothing unread is dropped."""
        shards = sorted(held)
        xids, seqs = [held[shard].xid for shard in shards], [held[shard].seq for shard in shards]
        async with translated():
            await self._pool.execute(_SQL["report_positions"].text, shards, xids, seqs)


class PostgresProjections:
    """The projection's tables, one transaction at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self, leases: Sequence[Lease]) -> AsyncIterator[ProjectionTransaction]:
        """Begin a transaction under *leases*; it commits when the block ends without an error.

        Raises:
            FenceLost: a lease is another process's now.
            StoreRaced: it lost a race for locks; trying again is safe.
            StoreRefused: the database refuses some value of it.
            Unavailable: the database cannot be reached; whether it committed is not known.
        """
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            unit = ProjectionTransaction(connection, leases)
            yield unit
            await unit.hold()


class ProjectionTransaction(SuppressingTransaction, ParkingTransaction):
    """One transaction of the projector; what it writes is kept back and written by `move_cursors`, in one round trip.

    The leases' fences are held from the first statement that needs no round trip of its own for it, at the latest
    before the commit: one that was lost by then undoes everything.
    """

    def __init__(self, connection: Connection, leases: Sequence[Lease]) -> None:
        self._connection = connection
        self._leases = sorted(leases, key=lambda lease: lease.name)
        self._holds = False
        self._records: list[RecordState] = []
        self._entities: list[EntityState] = []
        self._notes: list[tuple[Any, ...]] = []
        self._marks: list[tuple[Any, ...]] = []
        self._ends: list[tuple[Any, ...]] = []
        self._seen = NOTHING_SEEN
        self._policies: list[LogEvent] = []

    async def hold(self) -> None:
        """Make sure that the fences stand until the transaction ends. Raises: FenceLost."""
        if not self._holds:
            await hold_fences(self._connection, self._leases)
            self._holds = True

    async def load(
        self, homes: Mapping[RecordKey, uuid.UUID | None], further: Mapping[EntityKey, str]
    ) -> Loaded:
        """Lock and return the entities of records and further ones, with all their records.

        Args:
            homes: record to the entity that identity names; where the record is already counts first.
            further: entity to object.

        Raises: FenceLost.
        """
        rows = await self._connection.fetch(
            _SQL["load_batch"].text,
            [lease.name for lease in self._leases],
            [lease.fence for lease in self._leases],
            *columns_of([(*key, home) for key, home in homes.items()], 5),
            *columns_of([(*key, name) for key, name in further.items()], 3),
        )
        if lost := [row["object"] for row in rows if row["kind"] == _LOST]:
            raise FenceLost(lost)
        self._holds = True
        return Loaded(
            [loaded_entity(row) for row in rows if row["kind"] == _ENTITY],
            [_member(row, row["facts"]) for row in rows if row["kind"] == _RECORD],
            {_record_key(row): row["entity_id"] for row in rows if row["kind"] == _MOVED},
        )

    async def find_records(self, keys: Sequence[RecordKey]) -> dict[RecordKey, uuid.UUID]:
        """Return the entities that hold those of *keys* that are known."""
        rows = await self._connection.fetch(_SQL["find_records"].text, *columns_of(keys, 4))
        return {_record_key(row): row["entity_id"] for row in rows}

    async def lock_entities(self, wanted: Mapping[EntityKey, str]) -> list[EntityState]:
        """Lock *wanted* (entity to object), making room for new ones, and return them."""
        ordered = sorted(wanted.items())
        held = await self._lock([key for key, _ in ordered])
        while missing := [(*key, name) for key, name in ordered if key not in held]:
            rows = await self._connection.fetch(_SQL["stub_entities"].text, *columns_of(missing, 3))
            made = [EntityState(row["tenant_id"], row["entity_id"], row["object"]) for row in rows]
            held |= {entity.key: entity for entity in made}
            raced = [key for key, _ in ordered if key not in held]
            held |= await self._lock(raced) if raced else {}
        return list(held.values())

    async def _lock(self, keys: Sequence[EntityKey]) -> dict[EntityKey, EntityState]:
        rows = await self._connection.fetch(_SQL["lock_entities"].text, *columns_of(keys, 2))
        states = map(loaded_entity, rows)
        return {state.key: state for state in states}

    async def read_members(self, entities: Iterable[EntityKey]) -> list[RecordState]:
        """Return every record of *entities*."""
        rows = await self._connection.fetch(_SQL["read_members"].text, *columns_of(list(entities), 2))
        return [_member(row, row["fields"]) for row in rows]

    async def write_workspace(self, workspace: Workspace, contexts: Mapping[uuid.UUID, TraceContext]) -> None:
        """Write what a workspace has changed.

        Args:
            contexts: event key to the context of its projection, for marks and audit.
        """
        self._records = sorted(workspace.records_changed.values(), key=lambda item: item.key)
        self._entities = list(workspace.entities_changed.values())
        self._notes = await _rows(lambda note: note_row(note, contexts), workspace.audit)
        marks = [workspace.marks[key] for key in sorted(workspace.marks)]
        self._marks = await _rows(lambda mark: mark_row(mark, contexts), marks)
        await _write_references(self._connection, workspace)
        if workspace.follows:
            await write_follows(self._connection, workspace.follows)
        if workspace.enriched:
            await want_entities(self._connection, workspace.enriched.values())
        if workspace.tended:
            await write_tended(self._connection, workspace.tended.values())
        await write_behind(self._connection, workspace)

    async def write_effects(
        self, effects: Sequence[Effect], contexts: Mapping[uuid.UUID, TraceContext]
    ) -> None:
        """Record how each event ended."""
        self._policies = [
            effect.event
            for effect in effects
            if (effect.event.source, effect.event.object) == (OWN_SOURCE, POLICY_OBJECT)
        ]
        self._ends = [
            (
                effect.event.tenant_id,
                effect.event.event_key,
                effect.rule,
                effect.superseded,
                effect.poisoned,
                effect.error[:512],
                array_text(key[1] for key in effect.entities),
                array_text(effect.versions),
                effect.event.position.xid,
                effect.event.position.seq,
                trace_id_of(contexts.get(effect.event.event_key) or effect.event.trace),
            )
            for effect in effects
        ]

    async def observe(self, seen: Seen) -> None:
        """Take over what CRM records were seen to hold, and record what was decided about events that show them."""
        self._seen = seen

    async def move_cursors(
        self, positions: Mapping[int, Position], further: Mapping[int, Position] = NOWHERE
    ) -> None:
        """Move the positions of shards forward, and write what was kept back, in one round trip."""
        await self.hold()
        places = [(shard, place.xid, place.seq) for shard, place in sorted(positions.items())]
        records, entities = await _rows(record_row, self._records), await _rows(entity_row, self._entities)
        await self._connection.execute(
            _SQL["write_batch"].text,
            *folded(records, 10, RECORDS_DIFFER),
            *folded(entities, 8, ENTITIES_DIFFER),
            *folded(self._ends, 11, ENDS_DIFFER),
            *folded(self._notes, 8, NOTES_DIFFER),
            *folded(self._marks, 10, MARKS_DIFFER),
            name_accounts({(mark[0], mark[1]) for mark in self._marks}),
            *columns_of(places, 3),
            *columns_of([(shard, place.xid, place.seq) for shard, place in sorted(further.items())], 3),
        )
        await note_versions(self._connection, self._policies)
        await self._observe()

    async def _observe(self) -> None:
        """Bind what was seen to the deliveries, those that this batch has marked among them."""
        if self._seen.rulings:
            rows = [
                (item.tenant_id, item.event_key, item.entity_id, ",".join(item.kept), item.rule)
                for item in self._seen.rulings
            ]
            await self._connection.execute(_ECHO["write_rulings"].text, *columns_of(rows, 5))
        if not self._seen.observations:
            return
        ordered = sorted(self._seen.observations, key=lambda item: (item.key[:2], item.entity_id))
        keys = columns_of([item.key for item in ordered], 4)
        await self._connection.execute(
            _ECHO["observe_known"].text,
            keys[0],
            keys[1],
            [item.entity_id for item in ordered],
            keys[2],
            keys[3],
            [dict(item.fields) for item in ordered],
        )


async def _rows(make: Callable[[Item], tuple[Any, ...]], items: Sequence[Item]) -> list[tuple[Any, ...]]:
    """Return the rows of *items*; between stretches of them, a bulk turn lets live events go first."""
    rows: list[tuple[Any, ...]] = []
    for start in range(0, len(items), STRETCH):
        if start:
            await breathe()
        rows += map(make, items[start : start + STRETCH])
    return rows


def _record_key(row: Any) -> RecordKey:
    return RecordKey(row["tenant_id"], row["object"], row["source"], row["external_id"])


def loaded_entity(row: Any) -> EntityState:
    """Return a row of `sync.entity` in the domain's words, all of it."""
    return EntityState(
        row["tenant_id"],
        row["entity_id"],
        row["object"],
        row["state"],
        row["merged_into"],
        row["version"],
        unpack_values(row["fields"]),
        row["policy_version"],
        row["state_seq"],
    )


def _member(row: Any, facts: Any) -> RecordState:
    return RecordState(
        _record_key(row),
        row["entity_id"],
        unpack_facts(facts),
        row["deleted"],
        row["delete_time"],
        row["home_seq"],
    )


async def _write_references(connection: Connection, workspace: Workspace) -> None:
    """Write the references of changed entities anew; where none may have any, nothing is asked."""
    entities = [item for item in workspace.entities_changed.values() if workspace.may_refer(item)]
    if not entities:
        return
    references = [reference for item in entities for reference in workspace.references(item)]
    await connection.execute(_SQL["clear_references"].text, *columns_of([item.key for item in entities], 2))
    if references:
        await connection.execute(_SQL["write_references"].text, *columns_of(references, 4))
