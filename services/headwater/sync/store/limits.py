"""The books of an account's limits in Postgres: taken over by a fence, written only under it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headwater.kernel.pg import queries
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.standing import Books
from headwater.sync.domain.usage import Usage, from_json, to_json
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "limits.sql")


class PostgresLimits:
    """The books of one connector account, as the actor of one lease may use them."""

    def __init__(self, pool: Pool, tenant_id: str, connector: str, lease: Lease) -> None:
        self._pool = pool
        self._tenant_id = tenant_id
        self._connector = connector
        self._lease = lease

    async def take_over(self, day: dt.date) -> tuple[Usage, Ledger]:
        """Claim the books and return them; what a predecessor had reserved of the day counts as used."""
        async with translated():
            row = await self._pool.fetchrow(
                _SQL["take_over_usage"].text, self._tenant_id, self._connector, self._lease.fence, day
            )
        if row is None:
            raise FenceLost([self._lease.name])
        return from_json(row["windows"], row["elapsed_ns"]), _ledger(day, row)

    async def write(self, usage: Usage, ledger: Ledger, reserve: Reserve) -> None:
        """Write the books; calls may go only as far as they say."""
        async with translated():
            held = await self._pool.fetchval(
                _SQL["write_usage"].text,
                self._tenant_id,
                self._connector,
                self._lease.fence,
                to_json(usage),
                ledger.day,
                ledger.calls,
                ledger.tokens,
                reserve.calls,
                reserve.tokens,
                ledger.vendor_count,
                ledger.vendor_limit,
                ledger.rate_per_s,
                ledger.rate_time,
                ledger.refused,
                ledger.alert_time,
                reserve.forecast_time,
            )
        if not held:
            raise FenceLost([self._lease.name])


async def read_books(pool: Pool, tenant_id: str, days: Mapping[str, dt.date]) -> Books:
    """Return the books of accounts, for those who look.

    Args:
        days: connector to the vendor's day.
    """
    async with translated():
        rows = await pool.fetch(_SQL["read_books"].text, tenant_id, list(days), list(days.values()))
    return {
        row["connector"]: (from_json(row["windows"], row["elapsed_ns"]), _ledger(row["day"], row))
        for row in rows
    }


def _ledger(day: dt.date, row: Any) -> Ledger:
    return Ledger(
        day=day,
        calls=row["calls"],
        tokens=row["tokens"],
        vendor_used=row["vendor_used"],
        vendor_limit=row["vendor_limit"],
        since_told=max(row["unseen_calls"], row["unseen_tokens"]),
        rate_per_s=row["rate_per_s"],
        rate_time=row["rate_time"],
        refused=row["refused"],
        alert_time=row["alert_time"],
    )
