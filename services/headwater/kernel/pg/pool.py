"""Opens pools of Postgres connections, alike in every service. Owns codecs and session settings.

Must not know a statement of any service. `synchronous_commit` is left as the server has it: it is
checked (`durability`), never set here.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import asyncpg
import msgspec
import stamina

from headwater.kernel.pg import queries
from headwater.kernel.pg.walls import walled
from headwater.kernel.tenancy import every_tenant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncpg.pool import PoolConnectionProxy

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
"""A connection, pooled or not; a text because asyncpg's classes are generic for type checkers only."""
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_JSONB_VERSION: Final = b"\x01"
"""First byte of binary jsonb; source: `jsonb_recv` in PostgreSQL."""

_json_encode = msgspec.json.Encoder().encode
_json_decode = msgspec.json.Decoder().decode

_NOT_UP_YET: Final = (
    ConnectionError,
    FileNotFoundError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)
"""A server that is coming up or is crowded; a wrong password or database is not among them."""


LOST: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver makes of a command on a connection whose end was announced
    OSError,
    TimeoutError,
)
"""What comes of a database that is away, or of a connection that was lost."""

MAINTAIN_MAJOR_MIN: Final = 17
"""First major version that can grant VACUUM and REINDEX: access.toml's upkeep."""

QUERIES_MAX: Final = 50_000
"""Statements after which a connection is replaced; the driver's own default."""

CLOSE_S: Final = 10.0
"""Longest wait at the end for connections that are still in use."""

_SQL = queries.load("headwater.kernel.pg", "pool.sql")
_log = logging.getLogger(__name__)


class BoundedPool(asyncpg.Pool):
    """A pool whose end takes a bounded time: connections that are not given back by then are cut off."""

    close_s = CLOSE_S
    role = ""
    owner_role = ""

    async def close(self) -> None:
        """Close the connections once they are given back, after `close_s` in any case."""
        with anyio.move_on_after(self.close_s) as patience:
            await super().close()
        if patience.cancelled_caught:
            _log.error("connections were not given back within %g s and are cut off", self.close_s)


async def open_pool(
    dsn: str,
    *,
    application_name: str,
    size_min: int = 1,
    size_max: int = 10,
    statement_timeout_s: float = 30.0,
    idle_in_transaction_timeout_s: float = 60.0,
    connect_timeout_s: float = 5.0,
    start_timeout_s: float = 30.0,
    idle_connection_lifetime_s: float = 300.0,
    session_reset: bool = True,
    close_s: float = CLOSE_S,
    role: str = "",
    tenant_role: str = "",
    owner_role: str = "",
) -> Pool:
    """Open a pool, waiting a bounded time for a server that is not up yet.

    Statements are planned at each execution: a plan kept from when a table was empty reads whole
    tenants later, and for a statement that carries a batch the planning (about 0.1 ms) is nothing.
    None is compiled: where a scan is forbidden its cost is beyond any threshold, and compiling takes a tenth of a second.

    The pool is to be closed by its owner: ``async with await open_pool(...) as pool``.

    Args:
        application_name: shown by `pg_stat_activity`; the service's name.
        size_min: connections opened at once.
        size_max: the most connections; one more caller waits.
        statement_timeout_s: longest statement; 0 for none.
        session_reset: undo settings, locks and listens at each release: a round trip. False for a service whose
            statements leave nothing behind in the session.
        close_s: longest wait at the end for connections that are still in use.
        role: as whom the connections work; the URL's user when empty.
        tenant_role: as whom they serve a call for one tenant (`walls`); as always when empty.
        owner_role: as whom `as_owner` works; empty where the user may not.
        start_timeout_s: how long to retry while the server cannot be reached, in all.

    Raises:
        OSError, TimeoutError, asyncpg.PostgresError: of the last attempt.

    Cancellation: connections opened so far are closed.
    """
    settings = {
        "application_name": application_name,
        "statement_timeout": _milliseconds(statement_timeout_s),
        "idle_in_transaction_session_timeout": _milliseconds(idle_in_transaction_timeout_s),
        "timezone": "UTC",
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
    }
    if role:
        settings["role"] = role  # RESET ROLE comes back to it
    attempts = stamina.retry_context(
        on=_NOT_UP_YET, attempts=None, timeout=start_timeout_s, wait_initial=0.05, wait_max=1.0
    )
    async for attempt in attempts:
        with attempt:
            pool = BoundedPool(
                dsn,
                connection_class=walled(tenant_role) if tenant_role else asyncpg.Connection,
                record_class=asyncpg.Record,
                min_size=size_min,
                max_size=size_max,
                max_queries=QUERIES_MAX,
                loop=None,
                timeout=connect_timeout_s,
                max_inactive_connection_lifetime=idle_connection_lifetime_s,
                server_settings=settings,
                init=set_codecs,
                reset=None if session_reset else _keep_session,
            )
            pool.close_s = close_s
            pool.role, pool.owner_role = role, owner_role
            return await pool
    raise AssertionError("unreachable: the last attempt returns or raises")


async def set_codecs(connection: Connection) -> None:
    """Make jsonb and json columns Python objects; uuid and timestamptz stay asyncpg's own."""
    with every_tenant():  # asked of the catalog, whoever's call opens the connection
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=_jsonb_encode, decoder=_jsonb_decode, format="binary"
        )
        await connection.set_type_codec(
            "json", schema="pg_catalog", encoder=_json_encode, decoder=_json_decode, format="binary"
        )


@asynccontextmanager
async def as_owner(pool: Pool) -> AsyncIterator[Connection | None]:
    """Lend a connection that acts as the tables' owner, for what neither a grant nor a function can allow.

    VACUUM and REINDEX CONCURRENTLY run in no function, and before PostgreSQL 17 only an owner may. None where the
    user may not: the caller leaves it, and says so.
    """
    role, owner = (pool.role, pool.owner_role) if isinstance(pool, BoundedPool) else ("", "")
    async with pool.acquire() as connection:
        if not owner:
            granted = not role or connection.get_server_version().major >= MAINTAIN_MAJOR_MIN
            yield connection if granted else None
            return
        await connection.execute(_SQL["act_as"].text, owner)
        try:
            yield connection
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
                await connection.execute(_SQL["act_as"].text, role)


async def _keep_session(_connection: Connection) -> None:
    """Leave the session as it is; the driver itself has ended an open transaction by then."""


def _jsonb_encode(value: Any) -> bytes:
    return _JSONB_VERSION + _json_encode(value)


def _jsonb_decode(value: bytes) -> Any:
    return _json_decode(memoryview(value)[1:])


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))
