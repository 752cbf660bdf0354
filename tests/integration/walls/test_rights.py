"""What somebody grants, takes or opens by hand is found, with the statement that puts it right."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from headwater.kernel.pg.migrations import SERVICES, package_of
from headwater.kernel.pg.rights import Drift, compare_rights
from headwater.kernel.pg.roles import Roles

pytestmark = pytest.mark.anyio

ROLES = Roles("headwater")
BENT = [
    ("GRANT SELECT ON sync.entity TO PUBLIC", "PUBLIC has SELECT on table sync.entity"),
    (
        "GRANT DELETE ON sync.audit TO headwater_sync_tenant",
        "headwater_sync_tenant has DELETE on table sync.audit",
    ),
    (
        "GRANT UPDATE (fields) ON sync.entity TO headwater_ingest",
        "headwater_ingest has UPDATE on column sync.entity.fields",
    ),
    ("REVOKE SELECT ON sync.entity FROM headwater_sync", "headwater_sync lacks SELECT on table sync.entity"),
    (
        "GRANT EXECUTE ON ROUTINE sync.erase_state TO PUBLIC",
        "PUBLIC has EXECUTE on function sync.erase_state",
    ),
    ("GRANT CREATE ON SCHEMA sync TO headwater_sync", "headwater_sync has CREATE on schema sync"),
    (
        "CREATE POLICY everybody ON sync.entity TO headwater_sync_tenant USING (true)",
        "sync.entity: policy everybody lets through: true",
    ),
    (
        "ALTER POLICY headwater_tenant ON sync.entity USING (tenant_id <> '')",
        "sync.entity: policy headwater_tenant lets through: (tenant_id <> ''::text)",
    ),
    ("ALTER TABLE sync.entity DISABLE ROW LEVEL SECURITY", "sync: a wall is missing"),
    ("DROP POLICY headwater_tenant ON sync.entity", "sync: a wall is missing"),
    ("ALTER VIEW sync.try SET (security_invoker = false)", "sync: a view shows more than who asks may see"),
]
"""What is done by hand, and how it is told."""


@pytest.fixture
async def administrator(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_database_url)
    yield connection
    await connection.close(timeout=5)


async def _drifts(connection: asyncpg.Connection, service: str) -> tuple[Drift, ...]:
    found = await compare_rights(connection, service, package_of(service), ROLES)
    assert found is not None
    return found.drifts


@pytest.mark.parametrize("service", SERVICES)
async def test_nothing_is_found_where_nobody_did_anything(
    administrator: asyncpg.Connection, service: str
) -> None:
    """As the migrations leave it, every declared right is there, and no other."""
    found = await compare_rights(administrator, service, package_of(service), ROLES)
    assert found is not None
    assert found.drifts == ()
    assert found.count > 20


@pytest.mark.parametrize(("statement", "told"), BENT, ids=[told for _, told in BENT])
async def test_what_is_done_by_hand_is_found_and_its_statement_mends_it(
    administrator: asyncpg.Connection, statement: str, told: str
) -> None:
    """One finding each; after its statement there is none, but where a dropped policy has to be made anew."""
    transaction = administrator.transaction()
    await transaction.start()
    try:
        await administrator.execute(statement)
        (found,) = await _drifts(administrator, "sync")
        assert found.found == told
        await administrator.execute(found.statement)
        left = await _drifts(administrator, "sync")
        assert [one.statement.split()[0] for one in left] == (["CREATE"] if "<> ''" in told else [])
    finally:
        await transaction.rollback()


async def test_a_role_that_no_wall_stops_is_found(database_url: str) -> None:
    """It reads every tenant's rows, whatever the policies say."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("CREATE SCHEMA sync")
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("CREATE ROLE bare_sync_tenant BYPASSRLS")
        found = await _drifts_of(connection, Roles("bare"))
        await transaction.rollback()
    finally:
        await connection.close(timeout=5)
    assert Drift("role bare_sync_tenant has BYPASSRLS", "ALTER ROLE bare_sync_tenant NOBYPASSRLS") in found


async def _drifts_of(connection: asyncpg.Connection, roles: Roles) -> tuple[Drift, ...]:
    found = await compare_rights(connection, "sync", package_of("sync"), roles)
    assert found is not None
    return found.drifts
