"""Has the projection made again from the log. Opens the database: sync must not run while it is emptied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import asyncpg

from headwater.cli.migrating import CONNECT_TIMEOUT_S
from headwater.kernel.errors import PreconditionFailed, Unavailable
from headwater.kernel.pg.dsn import masked

Policies = Literal["recorded", "newest"]
"""By which policies events are read again."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a rebuild projects again."""

    events: int
    entities: int


async def extent(database_url: str, tenant_id: str) -> Extent:
    """Return what a rebuild of a tenant, or with an empty one of all, is about. Raises: Unavailable."""
    connection = await _connect(database_url)
    try:
        row = await connection.fetchrow(
            "select (select count(*) from sync.projection where $1 in ('', tenant_id)) as events,"
            " (select count(*) from sync.entity where $1 in ('', tenant_id)) as entities",
            tenant_id,
        )
        return Extent(*row) if row is not None else Extent(0, 0)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


async def begin_rebuild(
    database_url: str, tenant_id: str, actor: str, policies: Policies = "recorded"
) -> int:
    """Empty the projection of a tenant, or of all; return how many events are projected again once sync starts.

    Args:
        policies: recorded: each event is read by the policy of its moment; newest: by the one in force.

    Raises:
        PreconditionFailed: sync runs, or another rebuild goes on.
        Unavailable: the database cannot be reached.
    """
    connection = await _connect(database_url)
    try:
        count: int = await connection.fetchval(
            "select sync.begin_rebuild($1, $2, $3)", actor, tenant_id, policies
        )
    except asyncpg.ObjectInUseError as error:
        raise PreconditionFailed(str(error), reason="SYNC_RUNS") from error
    else:
        return count
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


async def _connect(database_url: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(f"no database at {masked(database_url)}: {error}") from error
