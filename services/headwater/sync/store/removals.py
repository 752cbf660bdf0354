"""Removals on Postgres: what is due, held back meanwhile, and noted under the fence."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.removing.ports import Flagged, FlaggedPlace
from headwater.sync.store.faults import reaching, translated
from headwater.sync.wakeup import name_accounts

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "removal.sql")
_MERGES: Final = queries.load("headwater.sync", "merge.sql")
_FIRST: Final[FlaggedPlace] = (uuid.UUID(int=0), "")


class PostgresRemovals:
    """The ports `RemovalBook` and `RemovalList` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def due(
        self, tenant_id: str, connector: str, grace_s: float, after: uuid.UUID, limit: int
    ) -> Sequence[Flagged]:
        """Return up to *limit* records that have been marked for longer than *grace_s*."""
        async with translated():
            rows = await self._pool.fetch(
                _SQL["due_removals"].text, tenant_id, connector, grace_s, after, limit
            )
        return [_flagged(row) for row in rows]

    async def hold(
        self, tenant_id: str, lease: Lease, connector: str, grace_s: float, flagged: Sequence[Flagged]
    ) -> frozenset[uuid.UUID]:
        """Hold deliveries back, and return those that are due to be removed still; no claim comes after it."""
        entities = [item.entity_id for item in flagged]
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await _fenced(connection, lease)
            await connection.execute(_SQL["hold_removals"].text, tenant_id, connector, entities)
            rows = await connection.fetch(
                _SQL["choose_removals"].text, tenant_id, connector, entities, grace_s
            )
        return frozenset(row["entity_id"] for row in rows)

    async def removed(
        self, tenant_id: str, lease: Lease, done: Sequence[Flagged], policy_version: str
    ) -> None:
        """Note that the records are gone, with audit."""
        if not done:
            return
        entities, ids = [item.entity_id for item in done], [item.crm_id for item in done]
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await _fenced(connection, lease)
            await connection.execute(
                _SQL["note_removed"].text, tenant_id, done[0].connector, entities, ids, policy_version
            )

    async def let_go(self, tenant_id: str, lease: Lease, connector: str) -> None:
        """Let all deliveries of an account go on that removals hold back."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            await _fenced(connection, lease)
            await connection.execute(_SQL["release_removals"].text, tenant_id, connector)
            named = name_accounts({(tenant_id, connector)})
            await connection.execute(_MERGES["notify_account"].text, named)

    async def list_flagged(
        self, tenant_id: str, connector: str, after: FlaggedPlace | None, limit: int
    ) -> Sequence[Flagged]:
        """Return up to *limit* marked records behind *after*, by entity."""
        async with reaching():
            rows = await self._pool.fetch(
                _SQL["list_flagged"].text, tenant_id, connector, *(after or _FIRST), limit
            )
        return [_flagged(row) for row in rows]


async def _fenced(connection: Connection, lease: Lease) -> None:
    if await connection.fetchrow(_MERGES["lock_fence"].text, lease.name, lease.fence) is None:
        raise FenceLost([lease.name])


def _flagged(row: Any) -> Flagged:
    return Flagged(
        row["connector"],
        row["entity_id"],
        row["object"],
        row["crm_object"],
        row["crm_id"],
        row["version"],
        row["event_key"],
        row["flag_time"],
    )
