"""When the deliveries of many accounts are due, in one query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headwater.kernel.pg import queries
from headwater.sync.ports import DueAccount
from headwater.sync.store.faults import translated

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

_SQL = queries.load("headwater.sync", "watching.sql")


class PostgresDueTimes:
    """The queue as the watcher of one process sees it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def due_accounts(self, accounts: Sequence[tuple[str, str]]) -> list[DueAccount]:
        """Return those of *accounts* that have deliveries waiting."""
        tenants, connectors = [key[0] for key in accounts], [key[1] for key in accounts]
        async with translated():
            rows = await self._pool.fetch(_SQL["due_accounts"].text, tenants, connectors)
        return [DueAccount(row["tenant_id"], row["connector"], row["due_s"]) for row in rows]
