"""Events that are set aside, on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.log import LogEvent
from headwater.sync.domain.reading import Parked
from headwater.sync.store.columns import columns_of
from headwater.sync.store.faults import translated
from headwater.sync.store.logged import logged_event

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "parked.sql")
REASON_CHARS: Final = 512


class PostgresParked:
    """Port `ParkedEvents` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def tenants(self, shards: Sequence[int]) -> list[str]:
        """Return the tenants that have events set aside in *shards*, once those projected since are forgotten."""
        async with translated():
            await self._pool.execute(_SQL["forget_projected"].text, list(shards))
            rows = await self._pool.fetch(_SQL["parked_tenants"].text, list(shards))
        return [row["tenant_id"] for row in rows]

    async def read(self, shards: Sequence[int], tenants: Sequence[str], limit: int) -> list[LogEvent]:
        """Return events of *tenants* that are set aside, in the order of the log."""
        async with translated():
            rows = await self._pool.fetch(_SQL["read_parked"].text, list(shards), list(tenants), limit)
        return [logged_event(row) for row in rows]


class ParkingTransaction:
    """The part of the projector's transaction that sets events aside and takes them up."""

    _connection: Connection

    async def park(self, readings: Sequence[Parked]) -> None:
        """Set events aside, with why."""
        rows = [
            (
                item.event.tenant_id,
                item.event.event_key,
                item.event.shard,
                *item.event.position,
                item.reason[:REASON_CHARS],
            )
            for item in readings
        ]
        await self._connection.execute(_SQL["park"].text, *columns_of(rows, 6))

    async def unpark(self, events: Sequence[LogEvent]) -> None:
        """Forget that events were set aside."""
        rows = [(event.tenant_id, event.event_key) for event in events]
        await self._connection.execute(_SQL["unpark"].text, *columns_of(rows, 2))
