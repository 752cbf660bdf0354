"""Migrating and checking a service's schema in a database."""

from __future__ import annotations

import importlib
import itertools
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import asyncpg
import pytest

from headwater.kernel.pg.errors import (
    MigrationFaulty,
    MigrationLockTimeout,
    SchemaAhead,
    SchemaBehind,
    SchemaDiffers,
)
from headwater.kernel.pg.migrations import LOCK_KEY, check_schema, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Package = Callable[..., str]

pytestmark = pytest.mark.anyio

FIRST = "CREATE TABLE event (seq bigint PRIMARY KEY);"
SECOND = "ALTER TABLE event ADD COLUMN source text; CREATE INDEX ON event (source);"

_numbers = itertools.count(1)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Writes a package with the given migrations and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(*steps: str) -> str:
        name = f"migrated_{os.getpid()}_{next(_numbers)}"
        folder = tmp_path / name / "migrations"
        folder.mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text('"""A service."""\n')
        for number, sql in enumerate(steps, start=1):
            (folder / f"{number:04}_step.sql").write_text(sql)
        importlib.invalidate_caches()
        return name

    return write


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_missing_migrations_are_applied_once_in_order(database_url: str, package: Package) -> None:
    """The first call applies both steps in the service's schema, the second none."""
    name = package(FIRST, SECOND)
    async with _connected(database_url) as connection:
        first = await migrate(connection, "ingest", name)
        second = await migrate(connection, "ingest", name)
        columns = await connection.fetchval(
            "SELECT count(*) FROM information_schema.columns "
            "WHERE table_schema = 'ingest' AND table_name = 'event'"
        )
        path = await connection.fetchval("SHOW search_path")
    assert ([m.version for m in first], second, columns) == ([1, 2], (), 2)
    assert path == '"$user", public'


async def test_concurrent_migrators_apply_each_step_once(database_url: str, package: Package) -> None:
    """Two migrators at once share the work without an error."""
    name = package(FIRST, SECOND)
    applied: list[int] = []

    async def run() -> None:
        async with _connected(database_url) as connection:
            applied.extend(m.version for m in await migrate(connection, "ingest", name))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        tasks.start_soon(run)
    assert sorted(applied) == [1, 2]


async def test_failing_step_is_rolled_back_and_earlier_ones_stay(database_url: str, package: Package) -> None:
    """Each step has its own transaction, and the lock is free afterwards."""
    broken = package(FIRST, "CREATE TABLE half (); SELECT 1 / 0;")
    async with _connected(database_url) as connection, _connected(database_url) as other:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate(connection, "ingest", broken)
        tables = await connection.fetch(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'ingest' ORDER BY 1"
        )
        free = await other.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY)
    assert [row[0] for row in tables] == ["event", "schema_migration"]
    assert free


async def test_services_do_not_share_versions(database_url: str, package: Package) -> None:
    """Each service has its own schema and numbering."""
    async with _connected(database_url) as connection:
        for service in ("ingest", "identity"):
            name = package(FIRST)
            assert len(await migrate(connection, service, name)) == 1
            await check_schema(connection, service, name)


async def test_check_passes_on_a_migrated_schema(database_url: str, package: Package) -> None:
    """A service starts on exactly its release's schema."""
    name = package(FIRST, SECOND)
    async with _connected(database_url) as connection:
        await migrate(connection, "ingest", name)
        await check_schema(connection, "ingest", name)


async def test_check_says_behind_when_nothing_was_migrated(database_url: str, package: Package) -> None:
    """An empty database is behind, with the remedy named."""
    async with _connected(database_url) as connection:
        with pytest.raises(SchemaBehind, match="run `headwater migrate`") as caught:
            await check_schema(connection, "ingest", package(FIRST, SECOND))
    assert (caught.value.applied, caught.value.wanted) == (0, 2)


async def test_check_says_ahead_when_the_database_is_newer(database_url: str, package: Package) -> None:
    """An older release neither starts on nor migrates a newer schema."""
    newer, older = package(FIRST, SECOND), package(FIRST)
    async with _connected(database_url) as connection:
        await migrate(connection, "ingest", newer)
        with pytest.raises(SchemaAhead):
            await check_schema(connection, "ingest", older)
        with pytest.raises(SchemaAhead):
            await migrate(connection, "ingest", older)


async def test_check_says_differs_when_an_applied_step_changed(database_url: str, package: Package) -> None:
    """A changed file is found, both by a service and by the migrator."""
    changed = package(FIRST + " -- changed", SECOND)
    async with _connected(database_url) as connection:
        await migrate(connection, "ingest", package(FIRST))
        with pytest.raises(SchemaDiffers):
            await check_schema(connection, "ingest", changed)
        with pytest.raises(SchemaDiffers):
            await migrate(connection, "ingest", changed)


async def test_step_that_ends_its_transaction_is_refused(database_url: str, package: Package) -> None:
    """A COMMIT inside a migration would break the one-transaction rule."""
    async with _connected(database_url) as connection:
        with pytest.raises(MigrationFaulty, match="ends its own transaction"):
            await migrate(connection, "ingest", package("CREATE TABLE a (); COMMIT;"))


async def test_migrator_gives_up_when_the_lock_is_held(database_url: str, package: Package) -> None:
    """Waiting for another migrator is bounded."""
    async with _connected(database_url) as holder, _connected(database_url) as connection:
        await holder.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        with pytest.raises(MigrationLockTimeout):
            await migrate(connection, "ingest", package(FIRST), lock_timeout_s=0.1)


async def test_schema_name_is_never_taken_as_sql(database_url: str, package: Package) -> None:
    """A strange service name makes a schema of that name and nothing else."""
    strange = 'a"; DROP TABLE x; --'
    async with _connected(database_url) as connection:
        await migrate(connection, strange, package(FIRST))
        found = await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", strange)
    assert found == 1
