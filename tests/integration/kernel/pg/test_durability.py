"""Refusing a server that may lose acknowledged writes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest

from headwater.kernel.pg.durability import check_durability
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.errors import DurabilityRefused
from headwater.kernel.testing.postgres import TEST_SETTINGS

pytestmark = pytest.mark.anyio


async def test_the_servers_defaults_pass(database_url: str) -> None:
    """A server as we set it up is durable."""
    connection = await asyncpg.connect(database_url)
    try:
        assert await check_durability(connection) == ()
    finally:
        await connection.close()


async def test_session_is_refused_when_it_commits_asynchronously(database_url: str) -> None:
    """A connection that does not wait for the disk is refused, naming setting and value."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET synchronous_commit = off")
        with pytest.raises(DurabilityRefused, match=r"synchronous_commit is off .session., it should be on"):
            await check_durability(connection)
    finally:
        await connection.close()


async def test_database_is_refused_when_it_commits_asynchronously(database_url: str) -> None:
    """A database set to asynchronous commit is found although this session repaired itself."""
    connection = await asyncpg.connect(database_url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    await connection.close()
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET synchronous_commit = on")
        findings = await check_durability(connection, override=True)
    finally:
        await connection.close()
    assert [(f.setting, f.scope, f.value) for f in findings] == [("synchronous_commit", "system", "off")]


async def test_server_is_refused_without_fsync_unless_overridden() -> None:
    """Settings fsync and full_page_writes off are both named; an override returns them to be logged."""
    directory = Path(tempfile.mkdtemp(prefix="headwater-test-"))
    unsafe = {**TEST_SETTINGS, "fsync": "off", "full_page_writes": "off"}
    try:
        with EmbeddedPostgres(directory, settings=unsafe) as url:
            connection = await asyncpg.connect(url)
            with pytest.raises(DurabilityRefused) as caught:
                await check_durability(connection)
            overridden = await check_durability(connection, override=True)
            await connection.close()
    finally:
        shutil.rmtree(directory)
    assert {f.setting for f in caught.value.findings} == {"fsync", "full_page_writes"}
    assert overridden == caught.value.findings
