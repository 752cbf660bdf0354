"""A process that ends lets go of what it held."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.integration.sync.whole import looking, syncing, until

pytestmark = pytest.mark.anyio

NOBODY = "127.0.0.1:1"
"""Identity is not asked for anything."""


async def held(connection: Any) -> int:
    """Return the number of leases in force."""
    count: int = await connection.fetchval(
        "select count(*) from sync.lease where name like 'shard/%' and expire_time > clock_timestamp()"
    )
    return count


async def shares(connection: Any) -> list[int]:
    """Return how many shards each process holds that lives, the fewest first."""
    rows = await connection.fetch(
        "select count(lease.name) filter (where lease.expire_time > clock_timestamp()) as held"
        " from sync.process as process"
        " left join sync.lease as lease on process.holder = lease.holder and lease.name like 'shard/%'"
        " where process.expire_time > clock_timestamp() group by process.holder order by held"
    )
    return [row["held"] for row in rows]


async def evenly(connection: Any, processes: int) -> bool:
    """Return whether that many processes share all shards evenly."""
    shards: int = await connection.fetchval("select ingest.shard_count()")
    held = await shares(connection)
    return len(held) == processes and sum(held) == shards and max(held) - min(held) <= 1


async def all_shards(connection: Any) -> bool:
    """Return whether every shard is held."""
    shards: int = await connection.fetchval("select ingest.shard_count()")
    return await held(connection) == shards


async def test_the_next_process_need_not_wait_for_leases_to_lapse(migrated_database_url: str) -> None:
    """Leases of a minute are free at once after a graceful end, and the successor's fences are higher."""
    async with looking(migrated_database_url) as connection:
        async with syncing(migrated_database_url, NOBODY, lease_ttl_s=60):
            await until(partial(all_shards, connection), 10)
        assert await held(connection) == 0
        async with syncing(migrated_database_url, NOBODY, lease_ttl_s=60):
            await until(partial(all_shards, connection), 10)
            assert await connection.fetchval("select min(fence) from sync.lease") == 2


async def test_shards_spread_evenly_over_processes(migrated_database_url: str) -> None:
    """With a second process half of them move to it; when it ends they come back at once."""
    one = syncing(migrated_database_url, NOBODY, lease_ttl_s=2)
    async with looking(migrated_database_url) as connection, one:
        await until(partial(evenly, connection, 1), 10)
        async with syncing(migrated_database_url, NOBODY, lease_ttl_s=2):
            await until(partial(evenly, connection, 2), 15)
        await until(partial(evenly, connection, 1), 10)
