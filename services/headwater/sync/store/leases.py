"""Leases in Postgres: one heartbeat a process, leases that stand and fall with it, fences that hold for a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.sync.domain.leasing import Beat, FenceLost, Lease
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "lease.sql")


class PostgresLeases:
    """The leases of one process.

    Args:
        holder: unique per process start, as `host:pid:random`.
        ttl_s: how long everything lasts without a heartbeat.
    """

    def __init__(self, pool: Pool, holder: str, ttl_s: float) -> None:
        self._pool = pool
        self.holder = holder
        self.ttl_s = ttl_s

    async def beat(self) -> Beat:
        """Prolong the heartbeat, or begin a new one where it had lapsed."""
        async with translated():
            rows = await self._pool.fetch(_SQL["beat"].text, self.holder, self.ttl_s)
            beat = Beat(rows[0]["unbroken"], rows[0]["processes"])
            if not beat.unbroken:
                await self._pool.execute(_SQL["enter_process"].text, self.holder, self.ttl_s)
        return beat

    async def acquire(self, names: Sequence[str], limit: int) -> dict[str, int]:
        """Take up to *limit* free ones of *names*; return their fences."""
        async with translated():
            rows = await self._pool.fetch(_SQL["acquire_leases"].text, names, self.holder, limit)
        return {row["name"]: row["fence"] for row in rows}

    async def release(self, names: Sequence[str]) -> None:
        """Let go of *names*, so that another process need not wait for them to lapse."""
        async with translated():
            await self._pool.execute(_SQL["release_leases"].text, self.holder, names)

    async def leave(self) -> None:
        """Let go of everything and end the heartbeat."""
        async with translated():
            await self._pool.execute(_SQL["leave_process"].text, self.holder)


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
