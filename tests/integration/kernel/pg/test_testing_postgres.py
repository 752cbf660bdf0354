"""Throw-away databases for tests."""

from __future__ import annotations

import time

import asyncpg
import pytest

from headwater.kernel.testing import postgres

pytestmark = pytest.mark.anyio


async def test_database_is_empty_and_own(database_url: str) -> None:
    """A test gets an empty database of a random name."""
    connection = await asyncpg.connect(database_url)
    try:
        name = await connection.fetchval("SELECT current_database()")
        tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    assert (name.startswith(postgres.NAME_PREFIX), tables) == (True, 0)


async def test_database_is_gone_when_block_is_left_with_a_connection_open(postgres_server: str) -> None:
    """Leaving the block drops the database even under a connection."""
    async with postgres.temporary_database(postgres_server) as url:
        connection = await asyncpg.connect(url)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)
    connection.terminate()


async def test_clone_holds_what_the_template_holds(postgres_server: str) -> None:
    """A database cloned from a template has its tables."""
    async with postgres.temporary_database(postgres_server) as template:
        connection = await asyncpg.connect(template)
        await connection.execute("CREATE TABLE river (name text)")
        await connection.close()
        async with postgres.temporary_database(postgres_server, template) as clone:
            connection = await asyncpg.connect(clone)
            found = await connection.fetchval("SELECT to_regclass('public.river')::text")
            await connection.close()
    assert found == "river"


async def test_cloning_is_quicker_than_migrating(postgres_server: str, migrated_template_url: str) -> None:
    """What tests clone for: in turn, on the same machine, the quickest clone is quicker than the quickest migration."""
    clones_s: list[float] = []
    migrations_s: list[float] = []
    for _ in range(3):
        start = time.perf_counter()
        clone = await postgres.create_database(postgres_server, migrated_template_url)
        between = time.perf_counter()
        migrated = await postgres.create_template(postgres_server)
        clones_s.append(between - start)
        migrations_s.append(time.perf_counter() - between)
        await postgres.drop_database(postgres_server, clone)
        await postgres.drop_database(postgres_server, migrated)
    assert min(clones_s) < min(migrations_s), (clones_s, migrations_s)


async def test_drop_is_refused_when_database_is_no_test_database(postgres_server: str) -> None:
    """Only databases made for tests can be dropped this way."""
    with pytest.raises(ValueError, match="no test database"):
        await postgres.drop_database(postgres_server, postgres_server)
