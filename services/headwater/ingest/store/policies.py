"""Policies on Postgres: the newest policy event of each tenant, and word of new ones."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import asyncpg

from headwater.ingest.ports import LogUnavailable, PolicyPosition, PolicyWatch
from headwater.ingest.store.faults import translated
from headwater.ingest.store.log import EVENT_SQL
from headwater.kernel.tenancy import every_tenant

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    from headwater.kernel.pg.pool import Pool

    PooledConnection = PoolConnectionProxy[asyncpg.Record]

CHANNEL: Final = "headwater_policy"
_UNLISTEN_TIMEOUT_S: Final = 2.0


class PostgresPolicies:
    """Reads and watches policies; keeps `ports.PolicySource`."""

    def __init__(self, pool: Pool, *, acquire_timeout_s: float) -> None:
        self._pool = pool
        self._acquire_timeout_s = acquire_timeout_s

    async def read_policy_positions(self) -> list[PolicyPosition]:
        """Return which policy is in force for each tenant."""
        with translated(), every_tenant():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                rows = await connection.fetch(EVENT_SQL["read_policy_positions"].text)
        return [_position(row) for row in rows]

    async def read_policies(self, tenant_ids: Sequence[str]) -> list[tuple[PolicyPosition, bytes]]:
        """Return the policies in force of some tenants."""
        with translated(), every_tenant():
            async with self._pool.acquire(timeout=self._acquire_timeout_s) as connection:
                rows = await connection.fetch(EVENT_SQL["read_policies"].text, list(tenant_ids))
        return [(_position(row), row["payload"]) for row in rows]

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[PolicyWatch]:
        """Hold one connection that listens."""
        with translated():
            connection = await self._pool.acquire(timeout=self._acquire_timeout_s)
        watch = _Watch()
        try:
            with translated():
                connection.add_termination_listener(watch.lose)
                await connection.add_listener(CHANNEL, watch.note)
            yield watch
        finally:
            with translated():
                await self._give_back(connection, watch)

    async def _give_back(self, connection: PooledConnection, watch: _Watch) -> None:
        """Stop listening and give the connection back, also where it was lost and nobody has noticed yet."""
        with anyio.CancelScope(shield=True):
            try:
                with anyio.move_on_after(_UNLISTEN_TIMEOUT_S):
                    connection.remove_termination_listener(watch.lose)
                    if not connection.is_closed():
                        await connection.remove_listener(CHANNEL, watch.note)
            finally:
                await self._pool.release(connection, timeout=_UNLISTEN_TIMEOUT_S)


class _Watch:
    """Turns the driver's callbacks into something to wait for."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._lost = False

    def note(self, *_: Any) -> None:
        self._event.set()

    def lose(self, *_: Any) -> None:
        self._lost = True
        self._event.set()

    async def changed(self) -> None:
        """Return when a policy was accepted; see the port."""
        await self._event.wait()
        if self._lost:
            raise LogUnavailable("the connection that listens for policies is lost")
        self._event = anyio.Event()


def _position(row: asyncpg.Record) -> PolicyPosition:
    key: uuid.UUID = row["event_key"]
    return PolicyPosition(row["tenant_id"], key, row["xid"], row["seq"])
