"""Pools of connections: codecs, session settings, waiting for a server."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path

import anyio
import anyio.to_thread
import asyncpg
import pytest

from headwater.kernel.pg.embedded import PORT, USER, EmbeddedPostgres, socket_directory
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.testing.postgres import TEST_SETTINGS

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", ["json", "jsonb"])
@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "ü\U0001f30a"]}, [], "text", True])
async def test_json_columns_are_python_objects(database_url: str, kind: str, value: object) -> None:
    """What goes in comes out, as Python objects, with the server agreeing on the type."""
    async with await open_pool(database_url, application_name="test") as pool:
        row = await pool.fetchrow(f"SELECT $1::{kind} AS it, {kind}_typeof($1::{kind}) AS kind", value)
    assert row is not None
    assert row["it"] == value
    assert row["kind"] in {"object", "array", "string", "boolean"}


async def test_jsonb_and_uuid_go_through_copy(database_url: str) -> None:
    """COPY uses the same codecs."""
    key = uuid.UUID(int=7)
    async with await open_pool(database_url, application_name="test") as pool, pool.acquire() as connection:
        await connection.execute("CREATE TABLE t (k uuid, j jsonb)")
        await connection.copy_records_to_table("t", records=[(key, {"a": 1})])
        row = await connection.fetchrow("SELECT k, j FROM t")
    assert row is not None
    assert (row["k"], row["j"]) == (key, {"a": 1})


async def test_session_settings_are_ours_and_synchronous_commit_the_servers(database_url: str) -> None:
    """Name, time zone and timeouts are set; durability is left alone."""
    async with await open_pool(
        database_url, application_name="headwater-ingest", statement_timeout_s=1.5
    ) as pool:
        seen = await pool.fetch(
            "SELECT name, setting, source FROM pg_settings WHERE name IN ('application_name', 'TimeZone', "
            "'statement_timeout', 'idle_in_transaction_session_timeout', 'synchronous_commit', 'jit')"
        )
    settings = {row["name"]: row["setting"] for row in seen}
    assert settings == {
        "application_name": "headwater-ingest",
        "TimeZone": "UTC",
        "statement_timeout": "1500",
        "idle_in_transaction_session_timeout": "60000",
        "synchronous_commit": "on",
        "jit": "off",
    }
    assert "client" not in {row["source"] for row in seen if row["name"] == "synchronous_commit"}


async def test_statement_is_stopped_when_it_runs_too_long(database_url: str) -> None:
    """The statement timeout holds in the server."""
    async with await open_pool(database_url, application_name="test", statement_timeout_s=0.05) as pool:
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.execute("SELECT pg_sleep(10)")


async def test_pool_opens_when_the_server_comes_up_later() -> None:
    """A service that starts before its Postgres waits for it."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-test-"))
    server = EmbeddedPostgres(directory, detach=True, settings=TEST_SETTINGS)
    url = f"postgresql://{USER}@/headwater?host={socket_directory(directory)}&port={PORT}"
    answers: list[object] = []

    async def use() -> None:
        async with await open_pool(url, application_name="test", start_timeout_s=10) as pool:
            answers.append(await pool.fetchval("SELECT 1"))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            await anyio.to_thread.run_sync(server.start)
    finally:
        server.stop("immediate")
        shutil.rmtree(directory)
    assert answers == [1]


async def test_opening_fails_when_no_server_comes_up() -> None:
    """Waiting for a server is bounded."""
    with pytest.raises(OSError, match=r".*"), anyio.fail_after(5):
        await open_pool("postgresql://u@/d?host=/nowhere", application_name="test", start_timeout_s=0.2)


async def test_opening_fails_at_once_when_the_database_is_missing(postgres_server: str) -> None:
    """A wrong name is not retried."""
    wrong = postgres_server.replace("/headwater?", "/no_such_database?")
    if wrong == postgres_server:
        pytest.skip("the server's URL is not the embedded one's")
    with anyio.fail_after(2), pytest.raises(asyncpg.InvalidCatalogNameError):
        await open_pool(wrong, application_name="test", start_timeout_s=30)


async def test_the_end_waits_a_bounded_time(database_url: str) -> None:
    """A connection that nobody gives back is cut off, and whoever holds it is told at the next use."""
    pool = await open_pool(database_url, application_name="test", size_max=1, close_s=0.05)
    connection = await pool.acquire()
    with anyio.fail_after(5):
        await pool.close()
    with pytest.raises(asyncpg.InterfaceError):
        await connection.fetchval("SELECT 1")
