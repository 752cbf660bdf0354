"""Records of CRMs that are to be read, in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.sync.domain.leasing import Lease
from headwater.sync.fetching.ports import Wanted
from headwater.sync.store.faults import translated
from headwater.sync.store.leases import hold_fences

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "fetch.sql")


class PostgresFetches:
    """Port `FetchBook` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def due(self, accounts: Sequence[tuple[str, str]], limit: int) -> list[Wanted]:
        """Return up to *limit* due records of each account."""
        tenants, names = [tenant for tenant, _ in accounts], [name for _, name in accounts]
        async with translated():
            rows = await self._pool.fetch(_SQL["due_fetches"].text, tenants, names, limit)
        return [
            Wanted(
                row["tenant_id"], row["connector"], row["crm_object"], row["crm_id"], row["number"], row["try_count"]
            )
            for row in rows
        ]  # fmt: skip

    async def settle(self, lease: Lease, done: Sequence[Wanted]) -> None:
        """Take records away, but those that were wanted again meanwhile."""
        ids, numbers = [item.crm_id for item in done], [item.number for item in done]
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            await connection.execute(_SQL["settle_fetches"].text, *_place(done), ids, numbers)

    async def put_off(self, lease: Lease, failed: Sequence[Wanted], wait_s: float, finding: str) -> None:
        """Have records tried again later."""
        ids = [item.crm_id for item in failed]
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await hold_fences(connection, [lease])
            await connection.execute(_SQL["put_off_fetches"].text, *_place(failed), ids, wait_s, finding)

    async def known(
        self, tenant_id: str, object_name: str, source: str, ids: Sequence[str]
    ) -> frozenset[str]:
        """Return those of *ids* that the projection holds as not deleted."""
        if not ids:
            return frozenset()
        async with translated():
            rows = await self._pool.fetch(_SQL["known_alive"].text, tenant_id, object_name, source, list(ids))
        return frozenset(row["external_id"] for row in rows)


def _place(items: Sequence[Wanted]) -> tuple[str, str, str]:
    return items[0].tenant_id, items[0].connector, items[0].crm_object
