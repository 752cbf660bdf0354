"""The projector's tables: reading the log, loading and writing a workspace, all in batches."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from headwater.kernel.pg import queries
from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.log import START, LogEvent, Position, RecordKey
from headwater.sync.domain.projecting import Effect, EntityKey, EntityState, Mark, RecordState, Workspace
from headwater.sync.domain.rows import pack_facts, pack_values, unpack_facts, unpack_values
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences
from headwater.sync.wakeup import name_accounts

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "projection.sql")
_NOTIFY = queries.load("headwater.sync", "watching.sql")["notify_accounts"]


class PostgresLog:
    """The event log, read through the functions that ingest publishes, and the shards' cursors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

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
        """Return the position up to which each of *shards* is projected."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_cursors"].text, list(shards))
        return dict.fromkeys(shards, START) | {row["shard"]: Position(row["xid"], row["seq"]) for row in rows}

    async def read_events(self, after: Mapping[int, Position], shard_limit: int) -> list[LogEvent]:
        """Return the next events of several shards in commit order, up to *shard_limit* of each.

        Args:
            after: shard to the position behind which to read.
        """
        shards = sorted(after)
        xids, seqs = [after[shard].xid for shard in shards], [after[shard].seq for shard in shards]
        async with translated():
            rows = await self._pool.fetch(_SQL["read_events"].text, shards, xids, seqs, shard_limit)
        return [_event(row) for row in rows]

    async def report_positions(self, held: Mapping[int, Position]) -> None:
        """Tell the log how far its shards are projected, so that nothing unread is dropped."""
        shards = sorted(held)
        xids, seqs = [held[shard].xid for shard in shards], [held[shard].seq for shard in shards]
        async with translated():
            await self._pool.execute(_SQL["report_positions"].text, shards, xids, seqs)


def _event(row: Any) -> LogEvent:
    trace = TraceContext.parse(row["traceparent"], row["tracestate"] or "") if row["traceparent"] else None
    return LogEvent(
        tenant_id=row["tenant_id"],
        event_key=row["event_key"],
        source=row["source"],
        object=row["object"],
        external_id=row["external_id"],
        event_time=row["event_time"],
        record_time=row["record_time"],
        operation=row["operation"],
        actor_id=row["actor_id"] or "",
        payload=row["payload"] or b"",
        trace=trace,
        shard=row["shard"],
        position=Position(row["xid"], row["seq"]),
    )


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
            await hold_fences(connection, leases)
            yield ProjectionTransaction(connection)


class ProjectionTransaction:
    """One transaction of the projector."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find_records(self, keys: Sequence[RecordKey]) -> dict[RecordKey, uuid.UUID]:
        """Return the entities that hold those of *keys* that are known."""
        rows = await self._connection.fetch(_SQL["find_records"].text, *_columns(keys, 4))
        return {
            RecordKey(row["tenant_id"], row["object"], row["source"], row["external_id"]): row["entity_id"]
            for row in rows
        }

    async def lock_entities(self, wanted: Mapping[EntityKey, str]) -> list[EntityState]:
        """Lock *wanted* (entity to object), making room for new ones, and return them."""
        ordered = sorted(wanted.items())
        tenants, entities = [key[0] for key, _ in ordered], [key[1] for key, _ in ordered]
        await self._connection.execute(
            _SQL["stub_entities"].text, tenants, entities, [name for _, name in ordered]
        )
        rows = await self._connection.fetch(_SQL["lock_entities"].text, tenants, entities)
        return [
            EntityState(
                row["tenant_id"],
                row["entity_id"],
                row["object"],
                row["state"],
                row["merged_into"],
                row["version"],
                unpack_values(row["fields"]),
                row["policy_version"],
            )
            for row in rows
        ]

    async def read_members(self, entities: Iterable[EntityKey]) -> list[RecordState]:
        """Return every record of *entities*."""
        rows = await self._connection.fetch(_SQL["read_members"].text, *_columns(list(entities), 2))
        return [
            RecordState(
                RecordKey(row["tenant_id"], row["object"], row["source"], row["external_id"]),
                row["entity_id"],
                unpack_facts(row["fields"]),
                row["deleted"],
                row["delete_time"],
            )
            for row in rows
        ]

    async def write_workspace(self, workspace: Workspace, contexts: Mapping[uuid.UUID, TraceContext]) -> None:
        """Write what a workspace has changed.

        Args:
            contexts: event key to the context of its projection, for marks and audit.
        """
        await _write_records(self._connection, list(workspace.records_changed.values()))
        await _write_entities(self._connection, workspace)
        await _write_audit(self._connection, workspace, contexts)
        await _write_marks(self._connection, list(workspace.marks.values()), contexts)

    async def write_effects(
        self, effects: Sequence[Effect], contexts: Mapping[uuid.UUID, TraceContext]
    ) -> None:
        """Record how each event ended."""
        await self._connection.copy_records_to_table(
            "projection",
            schema_name="sync",
            columns=[
                "tenant_id",
                "event_key",
                "rule",
                "superseded",
                "poisoned",
                "error",
                "entity_ids",
                "versions",
                "xid",
                "seq",
                "trace_id",
            ],
            records=[
                (
                    effect.event.tenant_id,
                    effect.event.event_key,
                    effect.rule,
                    effect.superseded,
                    effect.poisoned,
                    effect.error[:512],
                    [key[1] for key in effect.entities],
                    list(effect.versions),
                    effect.event.position.xid,
                    effect.event.position.seq,
                    _trace_id(contexts.get(effect.event.event_key) or effect.event.trace),
                )
                for effect in effects
            ],
        )

    async def move_cursors(self, positions: Mapping[int, Position]) -> None:
        """Move the positions of shards forward."""
        shards = sorted(positions)
        xids, seqs = [positions[shard].xid for shard in shards], [positions[shard].seq for shard in shards]
        await self._connection.execute(_SQL["move_cursors"].text, shards, xids, seqs)


async def _write_records(connection: Connection, records: list[RecordState]) -> None:
    if not records:
        return
    records.sort(key=lambda item: item.key)
    await connection.execute(
        _SQL["write_records"].text,
        *_columns([item.key for item in records], 4),
        [item.entity_id for item in records],
        [pack_facts(item.fields) for item in records],
        [item.deleted for item in records],
        [item.delete_time for item in records],
    )


async def _write_entities(connection: Connection, workspace: Workspace) -> None:
    entities = list(workspace.entities_changed.values())
    if not entities:
        return
    keys = _columns([item.key for item in entities], 2)
    await connection.execute(
        _SQL["write_entities"].text,
        *keys,
        [item.state for item in entities],
        [item.merged_into for item in entities],
        [item.version for item in entities],
        [pack_values(item.fields) for item in entities],
        [item.policy_version for item in entities],
    )
    references = [reference for item in entities for reference in workspace.references(item)]
    await connection.execute(_SQL["clear_references"].text, *keys)
    if references:
        await connection.execute(_SQL["write_references"].text, *_columns(references, 4))


async def _write_audit(
    connection: Connection, workspace: Workspace, contexts: Mapping[uuid.UUID, TraceContext]
) -> None:
    if not workspace.audit:
        return
    await connection.copy_records_to_table(
        "audit",
        schema_name="sync",
        columns=[
            "tenant_id",
            "action",
            "actor",
            "entity_id",
            "event_key",
            "changes",
            "policy_version",
            "trace_id",
        ],
        records=[
            (
                note.tenant_id,
                note.action,
                note.actor,
                note.entity_id,
                note.event_key,
                list(note.changes),
                note.policy_version,
                _trace_id(contexts.get(note.event_key)),
            )
            for note in workspace.audit
        ],
    )


async def _write_marks(
    connection: Connection, marks: list[Mark], contexts: Mapping[uuid.UUID, TraceContext]
) -> None:
    if not marks:
        return
    marks.sort(key=lambda mark: (mark.tenant_id, mark.connector, mark.entity_id))
    traces = [contexts.get(mark.event.event_key) or mark.event.trace for mark in marks]
    await connection.execute(
        _SQL["write_marks"].text,
        [mark.tenant_id for mark in marks],
        [mark.connector for mark in marks],
        [mark.entity_id for mark in marks],
        [mark.object for mark in marks],
        [mark.version for mark in marks],
        [mark.event.event_key for mark in marks],
        [trace.traceparent if trace else "" for trace in traces],
        [trace.tracestate if trace else "" for trace in traces],
        [mark.event.record_time for mark in marks],
        [mark.lane for mark in marks],
    )
    await connection.execute(
        _NOTIFY.text, name_accounts({(mark.tenant_id, mark.connector) for mark in marks})
    )


def _trace_id(context: TraceContext | None) -> str:
    return context.trace_id if context else ""


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[index] for row in rows] for index in range(width)]
