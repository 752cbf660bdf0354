"""Following policies on Postgres: the connection that listens."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest

from headwater.ingest.ports import LogUnavailable
from headwater.ingest.store.policies import PostgresPolicies

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Pool

pytestmark = pytest.mark.anyio


class _OneConnection:
    """A pool of one connection, which counts how often it is given back."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection
        self.given_back = 0

    async def acquire(self, **_: float) -> asyncpg.Connection[asyncpg.Record]:
        return self.connection

    async def release(self, connection: object, **_: float) -> None:
        assert connection is self.connection
        self.given_back += 1


async def test_a_connection_that_cannot_unlisten_is_given_back(migrated_database_url: str) -> None:
    """Where the end of the watch finds the connection broken, its place in the pool is free all the same."""
    connection = await asyncpg.connect(migrated_database_url)
    pool = _OneConnection(connection)
    policies = PostgresPolicies(cast("Pool", pool), acquire_timeout_s=2)
    with pytest.raises(LogUnavailable):
        await _break_while_watching(policies, connection)
    assert pool.given_back == 1
    await connection.close()


async def _break_while_watching(
    policies: PostgresPolicies, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    async with policies.watch():
        await connection.execute("BEGIN")
        with suppress(asyncpg.PostgresError):
            await connection.execute("no statement")
