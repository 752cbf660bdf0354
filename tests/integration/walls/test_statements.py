"""Every statement of a service is one that its role may run: planned as that role, by which rights are looked at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import asyncpg
import pytest

from headwater.kernel.pg import queries
from headwater.kernel.pg.migrations import SERVICES
from headwater.kernel.pg.roles import Roles

ROLES = Roles("headwater")
WORK = Path(__file__).with_name("work.txt")
OWNERS = ("vacuum", "reindex", "drop index")
"""Upkeep that only an owner may: run by `pool.as_owner`."""
STATEMENTS = [
    (service, query)
    for service in SERVICES
    for file in sorted(
        resources.files(f"headwater.{service}").joinpath("sql").iterdir(), key=lambda one: one.name
    )
    if file.name.endswith(".sql")
    for query in queries.load(f"headwater.{service}", file.name).values()
]


@pytest.fixture
async def connection(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(
        migrated_database_url, server_settings={"plan_cache_mode": "force_generic_plan"}
    )
    yield opened
    await opened.close(timeout=5)


async def test_a_service_may_run_each_of_its_statements(connection: asyncpg.Connection) -> None:
    """No statement asks for more than access.toml gives."""
    refused = []
    for service, query in STATEMENTS:
        if query.text.startswith(OWNERS):
            continue
        await connection.execute(f'SET ROLE "{ROLES.service(service)}"')
        try:
            await _plan(connection, query.text)
        except asyncpg.InsufficientPrivilegeError as error:
            refused.append(f"{service}.{query.name}: {error}")
    assert refused == []
    assert len(STATEMENTS) > 300


async def test_a_call_may_run_the_others_and_none_of_the_services_own_work(
    connection: asyncpg.Connection,
) -> None:
    """What `work.txt` names is refused to a call, and nothing else is: a new statement is on one side or the other."""
    refused = []
    for service, query in STATEMENTS:
        if query.text.startswith(OWNERS):
            continue
        await connection.execute(f'SET ROLE "{ROLES.tenant(service)}"')
        try:
            await _plan(connection, query.text)
        except asyncpg.InsufficientPrivilegeError:
            refused.append(f"{service}.{query.name}")
    assert sorted(refused) == WORK.read_text().split()


async def _plan(connection: asyncpg.Connection, text: str) -> None:
    await connection.execute(f"PREPARE tried AS {text}")
    try:
        prepared = await connection.fetchval(
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'tried'"
        )
        values = f"({', '.join(['NULL'] * prepared)})" if prepared else ""
        await connection.execute(f"EXPLAIN EXECUTE tried{values}")
    finally:
        await connection.execute("DEALLOCATE tried")
