"""The event log on Postgres: what writes it. One commit a batch, the ledger looked up once.

COPY straight into the table; where a duplicate raced it, the slow road (INSERT … ON CONFLICT) in a new
transaction. Source: the project's measurements, 88,000 rows/s against 54,000 with ON CONFLICT alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from headwater.ingest.domain.event import LedgerKey, NewEvent, Outcome
from headwater.ingest.domain.flush import Decision, decide, decide_after_race
from headwater.ingest.store.faults import translated
from headwater.ingest.store.rows import EVENT_COLUMNS, columns, count_columns, event_row, quarantine_columns
from headwater.kernel.ids import POLICY_OBJECT
from headwater.kernel.pg import queries
from headwater.kernel.telemetry import Spans, current

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

EVENT_SQL: Final = queries.load("headwater.ingest", "event.sql")
QUARANTINE_SQL: Final = queries.load("headwater.ingest", "quarantine.sql")


class PostgresEventLog:
    """Appends to the log; keeps `ports.EventLog`."""

    def __init__(self, pool: Pool, spans: Spans, *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._spans = spans
        self._acquire_timeout_s = acquire_timeout_s

    async def append(self, events: Sequence[NewEvent]) -> tuple[Outcome, ...]:
        """Record what is new in one commit; see the port."""
        with translated():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                return await self._append(connection, events)

    async def _append(self, connection: Connection, events: Sequence[NewEvent]) -> tuple[Outcome, ...]:
        ledger = await look_up_ledger(connection, events)
        decision = decide(events, ledger)
        if not decision.fresh:
            return decision.outcomes
        try:
            async with connection.transaction():
                await self._copy(connection, decision.fresh)
                await add_consequences(connection, decision.fresh)
        except asyncpg.UniqueViolationError:
            decision = await self._append_raced(connection, events, decision)
        return decision.outcomes

    async def _copy(self, connection: Connection, fresh: Sequence[NewEvent]) -> None:
        with self._span("COPY", len(fresh)):
            await connection.copy_records_to_table(
                "event",
                schema_name="ingest",
                columns=EVENT_COLUMNS,
                records=[event_row(event) for event in fresh],
            )

    async def _append_raced(
        self, connection: Connection, events: Sequence[NewEvent], first: Decision
    ) -> Decision:
        async with connection.transaction():
            with self._span("INSERT", len(first.fresh)):
                inserted = await insert_missing(connection, first.fresh)
            if ours := [event for event in first.fresh if event.ledger_key in inserted]:
                await add_consequences(connection, ours)
        # After the commit: a new snapshot, which sees the rows of those that were faster.
        ledger = await look_up_ledger(connection, events)
        return decide_after_race(events, ledger, inserted)

    def _span(self, operation: str, rows: int) -> AbstractContextManager[Any]:
        context = current()
        if context is None or not context.sampled:
            return nullcontext()
        return self._spans.db(operation, "event", rows)


async def look_up_ledger(connection: Connection, events: Sequence[NewEvent]) -> dict[LedgerKey, bytes]:
    """Return the content hash of each key that is recorded."""
    rows = await connection.fetch(
        EVENT_SQL["look_up_ledger"].text,
        [event.tenant_id for event in events],
        [uuid.UUID(bytes=event.event_key) for event in events],
    )
    return {(tenant_id, event_key.bytes): content_hash for tenant_id, event_key, content_hash in rows}


async def insert_missing(connection: Connection, events: Sequence[NewEvent]) -> frozenset[LedgerKey]:
    """Insert what nobody recorded meanwhile, waiting for who is recording it; return the keys inserted.

    Args:
        events: at least one, in the order of their keys.
    """
    arrays = columns([event_row(event) for event in events])
    rows = await connection.fetch(EVENT_SQL["insert_missing"].text, *arrays)
    return frozenset((tenant_id, event_key.bytes) for tenant_id, event_key in rows)


async def add_consequences(connection: Connection, inserted: Sequence[NewEvent]) -> None:
    """Write what belongs to rows inserted in this transaction: task list, counts, wake-up calls."""
    broken = [event for event in inserted if event.violations]
    if broken:
        await connection.execute(QUARANTINE_SQL["open_quarantine"].text, *quarantine_columns(broken))
    await connection.execute(EVENT_SQL["add_counts"].text, *count_columns(inserted))
    if len(broken) < len(inserted):
        await connection.execute(EVENT_SQL["notify_log"].text)
    if any(event.object == POLICY_OBJECT for event in inserted):
        await connection.execute(EVENT_SQL["notify_policy"].text)
