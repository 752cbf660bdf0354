"""Leases in Postgres: acquire (which prolongs), release, and hold a fence through a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "lease.sql")


class PostgresLeases:
    """The leases of one process.

    Args:
        holder: unique per process start, as `host:pid:random`.
        ttl_s: how long a lease lasts without a renewal.
    """

    def __init__(self, pool: Pool, holder: str, ttl_s: float) -> None:
        self._pool = pool
        self.holder = holder
        self.ttl_s = ttl_s

    async def acquire(self, names: Sequence[str]) -> dict[str, int]:
        """Return the fences of those of *names* that are ours now."""
        async with translated():
            rows = await self._pool.fetch(_SQL["acquire_leases"].text, sorted(names), self.holder, self.ttl_s)
        return {row["name"]: row["fence"] for row in rows}

    async def release(self) -> None:
        """Let go of all leases, so that another process need not wait for them to lapse."""
        async with translated():
            await self._pool.execute(_SQL["release_leases"].text, self.holder)


async def hold_fences(connection: Connection, leases: Sequence[Lease]) -> None:
    """Make sure that no other process takes one of *leases* before this transaction ends.

    Raises:
        FenceLost: one has been taken, or has lapsed.
    """
    ordered = sorted(leases, key=lambda lease: lease.name)
    names = [lease.name for lease in ordered]
    rows = await connection.fetch(_SQL["hold_fences"].text, names, [lease.fence for lease in ordered])
    lost = set(names) - {row["name"] for row in rows}
    if lost:
        raise FenceLost(sorted(lost))
