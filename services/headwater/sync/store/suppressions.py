"""Who is not to be taken in again, on Postgres."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.sync.domain.log import LogEvent
from headwater.sync.projector.suppressing import Standing, SuppressionKeyClosed
from headwater.sync.store.faults import translated
from headwater.sync.store.suppression_keys import PostgresSuppressionKeys

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL: Final = queries.load("headwater.sync", "erasure.sql")


class PostgresSuppressions:
    """Port `SuppressionBook` on Postgres."""

    def __init__(self, pool: Pool, keys: PostgresSuppressionKeys | None = None) -> None:
        self._pool = pool
        self._keys = keys or PostgresSuppressionKeys(pool)

    async def standing(self, tenants: Sequence[str]) -> Standing:
        """Return how the list stands, and which of *tenants* have entries."""
        async with translated():
            rows = await self._pool.fetch(_SQL["suppression_standing"].text, list(tenants))
        known = {row["tenant_id"]: row["key"] for row in rows if row["tenant_id"] is not None}
        keys: dict[str, bytes] = {}
        closed: dict[str, str] = {}
        for tenant_id, key in known.items():
            try:
                keys[tenant_id] = await self._keys.opened(tenant_id, key)
            except SuppressionKeyClosed as error:
                closed[tenant_id] = error.message
        return Standing(rows[0]["number"], keys, closed)

    async def among(self, tenant_id: str, digests: Sequence[bytes]) -> frozenset[bytes]:
        """Return those of *digests* that are suppressed."""
        async with translated():
            rows = await self._pool.fetch(_SQL["suppressed_among"].text, tenant_id, list(digests))
        return frozenset(bytes(row["digest"]) for row in rows)


class SuppressingTransaction:
    """A transaction that heeds who was erased: the part of the projector's that knows of it."""

    _connection: Connection

    async def suppressions(self) -> int:
        """Return the number of the newest suppression; asked once entities are locked."""
        found: int = await self._connection.fetchval(_SQL["suppression_number"].text)
        return found

    async def erase_events(self, events: Sequence[LogEvent]) -> None:
        """Take out of the log what events say."""
        by_tenant: dict[str, list[uuid.UUID]] = {}
        for event in events:
            by_tenant.setdefault(event.tenant_id, []).append(event.event_key)
        for tenant_id, keys in sorted(by_tenant.items()):
            await self._connection.execute(_SQL["erase_events"].text, tenant_id, keys)
