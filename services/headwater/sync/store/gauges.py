"""What stands in the database and is told on /metrics, read by one statement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.sync.measuring import GaugeRow
from headwater.sync.store.faults import reaching

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "gauges.sql")


class PostgresGauges:
    """Port `GaugeStore` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(
        self, accounts: Sequence[tuple[str, str, dt.date]], deliveries_max: int
    ) -> Sequence[GaugeRow]:
        """Return the numbers of *accounts*: tenant, connector, the vendor's day."""
        columns = [list(column) for column in zip(*accounts, strict=True)] if accounts else [[], [], []]
        async with reaching():
            rows = await self._pool.fetch(_SQL["read_gauges"].text, *columns, deliveries_max)
        return [GaugeRow(*row) for row in rows]
