"""The event log on Postgres: what writes it. Every batch is one commit, the ledger looked up once at the most.

A small batch is one round trip: a function that inserts what is most probably new, or the exact one, which inserts
what is new and answers what is known. A large one is
a COPY straight into the day's partition: without a look while no duplicates come, after a look once they do.
Where a duplicate races the COPY, the small batches' road is exact for any size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from headwater.ingest.domain.event import Disposition, LedgerKey, NewEvent, Outcome
from headwater.ingest.domain.flush import (
    FEW_ROWS_MAX,
    Decision,
    Known,
    Pace,
    decide,
    decide_after_race,
    oldest_ms,
)
from headwater.ingest.ports import LogUnavailable
from headwater.ingest.store.announcing import Announcer
from headwater.ingest.store.copying import COPY_COLUMNS, copy_stream, in_one_piece
from headwater.ingest.store.faults import translated
from headwater.ingest.store.rows import (
    Resends,
    append_arguments,
    is_plain,
    ledger_of,
    plain_arguments,
    settle_arguments,
    uuid_array,
)
from headwater.kernel.pg import queries
from headwater.kernel.telemetry import Spans, current
from headwater.kernel.telemetry.old_news import is_old_news

if TYPE_CHECKING:
    import datetime as dt

    from asyncpg.pool import PoolConnectionProxy

    from headwater.kernel.pg.pool import Connection, Pool

    PooledConnection = PoolConnectionProxy[asyncpg.Record]

EVENT_SQL: Final = queries.load("headwater.ingest", "event.sql")
QUARANTINE_SQL: Final = queries.load("headwater.ingest", "quarantine.sql")

ROUNDS_MAX: Final = 8
"""Rounds of the exact road: two settle a race, each further one means that a re-send raced another."""

Ledger = dict[LedgerKey, Known]
ACCEPTED: Final = Disposition.ACCEPTED
DUPLICATE: Final = Disposition.DUPLICATE


class PostgresEventLog:
    """Appends to the log, one batch at a time; keeps `ports.EventLog`.

    Args:
        announcer: is rung after every commit that may have added accepted events.
        few_rows_max: batches up to this size take the one-round-trip road.
        keeps_connection: keep one from batch to batch, until `aclose`: taking one from the pool and giving it back
            costs as much as a row.
    """

    def __init__(
        self,
        pool: Pool,
        spans: Spans,
        announcer: Announcer,
        *,
        acquire_timeout_s: float,
        few_rows_max: int = FEW_ROWS_MAX,
        keeps_connection: bool = False,
    ) -> None:
        self._pool = pool
        self._announcer = announcer
        self._spans = spans
        self._acquire_timeout_s = acquire_timeout_s
        self._few_rows_max = few_rows_max
        self._pace = Pace()
        self._keeps_connection = keeps_connection
        self._kept: PooledConnection | None = None

    async def append(self, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        """Record what is new; see the port."""
        if not events:
            return ()
        with translated():
            async with self._connection() as connection:
                outcomes = await self._append(connection, events)
        if any(outcome.disposition is ACCEPTED for outcome in outcomes):
            self._announcer.ring(
                bulk=all(event.trace and is_old_news(event.trace.tracestate) for event in events)
            )
        return outcomes

    async def aclose(self) -> None:
        """Give back the connection that was kept; the next batch takes one again."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await self._pool.release(kept)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Take the connection that the last batch left, or one of the pool."""
        connection, self._kept = self._kept, None
        if connection is not None and connection.is_closed():
            await self._pool.release(connection)
            connection = None
        if connection is None:
            connection = await self._pool.acquire(timeout=self._acquire_timeout_s)
        served = False
        try:
            yield connection
            served = True
        finally:
            if served and self._keeps_connection and self._kept is None:
                self._kept = connection
            else:
                await self._pool.release(connection)

    async def _append(self, connection: Connection, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        roads: Sequence[Callable[[Connection, Sequence[NewEvent]], Awaitable[Sequence[Outcome]]]] = ()
        if len(events) > self._few_rows_max:
            # Straight on, then with a look; a batch that looks already and is raced leaves the road.
            roads = (
                (self._look_then_copy,) if self._pace.looks else (self._copy_at_once, self._look_then_copy)
            )
        for road in roads:
            try:
                return await road(connection, events)
            except asyncpg.UniqueViolationError:
                self._pace = self._pace.after(met_duplicate=True)
        with self._span("INSERT", len(events)):
            return await self._insert(connection, events)

    async def _insert(self, connection: Connection, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        """Record a batch row by row: plainly where that will most probably do, else by the exact road."""
        if not self._pace.looks and len(events) <= self._few_rows_max and is_plain(events):
            decision = decide(events, {})
            arguments = plain_arguments(decision.fresh)
            try:
                if await connection.fetchval(EVENT_SQL["append_plain"].text, oldest_ms(events), *arguments):
                    return decision.outcomes
            except asyncpg.UniqueViolationError:
                self._pace = self._pace.after(met_duplicate=True)
        outcomes = await append_few(connection, events)
        self._pace = self._pace.after(met_duplicate=any(item.disposition is DUPLICATE for item in outcomes))
        return outcomes

    async def _copy_at_once(self, connection: Connection, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        return await self._append_many(connection, events, look=False)

    async def _look_then_copy(self, connection: Connection, events: Sequence[NewEvent]) -> Sequence[Outcome]:
        return await self._append_many(connection, events, look=True)

    async def _append_many(
        self, connection: Connection, events: Sequence[NewEvent], *, look: bool
    ) -> Sequence[Outcome]:
        async with connection.transaction():
            day, older = await enter(connection, events)
            ledger = await look_up_ledger(connection, events, older=older) if look or older else {}
            decision = decide(events, ledger)
            if decision.fresh:
                await self._copy(connection, day, decision)
        self._pace = self._pace.after(met_duplicate=len(decision.fresh) < len(events))
        return decision.outcomes

    async def _copy(self, connection: Connection, day: dt.date, decision: Decision) -> None:
        with self._span("COPY", len(decision.fresh)):
            await connection.copy_to_table(
                f"event_{day:%Y%m%d}",
                schema_name="ingest",
                columns=COPY_COLUMNS,
                source=in_one_piece(copy_stream(decision.fresh)),
                format="binary",
            )
        arguments = settle_arguments(decision.fresh, decision.resends)
        await connection.execute(EVENT_SQL["settle"].text, day, *arguments)

    def _span(self, operation: str, rows: int) -> AbstractContextManager[Any]:
        context = current()
        if context is None or not context.sampled:
            return nullcontext()
        return self._spans.db(operation, "event", rows)


async def enter(connection: Connection, events: Sequence[NewEvent]) -> tuple[dt.date, bool]:
    """Take the writers' lock: first in a transaction that writes events.

    Returns:
        The day to write into, and whether some of the keys may be in older days.
    """
    place = await connection.fetchrow(EVENT_SQL["enter"].text, oldest_ms(events))
    if place is None:
        raise LogUnavailable("the log has no day to write into")
    return place["record_day"], place["older"]


async def look_up_ledger(connection: Connection, events: Sequence[NewEvent], *, older: bool) -> Ledger:
    """Return what is recorded of the keys."""
    keys = uuid_array([event.event_key for event in events])
    return ledger_of(await connection.fetch(EVENT_SQL["known"].text, keys, older))


async def append_few(connection: Connection, events: Sequence[NewEvent]) -> Sequence[Outcome]:
    """Record what is new by the exact road, in a commit of its own; inside a transaction, as a part of it.

    Args:
        events: at least one; the writers' lock is taken for them, so it must be the transaction's first write.
    """
    ledger: Ledger = {}
    inserted: set[LedgerKey] = set()
    for _ in range(ROUNDS_MAX):
        decision = decide_after_race(events, ledger, inserted)
        if not decision.fresh:
            return decision.outcomes
        met = await insert_missing(connection, decision.fresh, decision.resends)
        inserted |= {event.ledger_key for event in decision.fresh} - met.keys()
        ledger |= met
    raise LogUnavailable("others record the same events again and again; sending again is safe")


async def insert_missing(connection: Connection, events: Sequence[NewEvent], resends: Resends) -> Ledger:
    """Insert what nobody recorded, waiting for who is recording it; return what is known of the others.

    Args:
        events: at least one, of different keys, in the order of their keys.
    """
    arguments = append_arguments(events, resends)
    return ledger_of(await connection.fetch(EVENT_SQL["append"].text, oldest_ms(events), *arguments))
