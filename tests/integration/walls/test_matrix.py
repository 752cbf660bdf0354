"""Every role x statement x table of every schema, tried on the server and held against `matrix.txt`.

A table without a line fails, so that nobody adds one without saying who may do what with it. After a wanted change:
PYTHONPATH=services:. python -m tests.integration.walls prints the matrix as the server has it, to be read and put there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests.integration.walls.tried import SQL, Relation, fill, list_relations, matrix, within

from headwater.kernel.pg.migrations import SERVICES
from headwater.kernel.pg.roles import Roles

EXPECTED = Path(__file__).with_name("matrix.txt")
ROLES = Roles("headwater")
US, THEM = "acme", "globex"


@pytest.fixture
async def administrator(migrated_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(migrated_database_url)
    yield connection
    await connection.close(timeout=5)


@pytest.fixture
async def filled(administrator: asyncpg.Connection) -> list[Relation]:
    """Tables with a tenant, with a row of each of two."""
    return await fill(administrator, (US, THEM))


async def test_every_role_may_do_what_its_line_says_and_nothing_else(
    administrator: asyncpg.Connection,
) -> None:
    """What the server lets each role do with each table is what the file says."""
    assert (await matrix(administrator, ROLES)).splitlines() == EXPECTED.read_text().splitlines()


async def test_no_schema_is_left_out(administrator: asyncpg.Connection) -> None:
    """The matrix covers every schema that the migrations make."""
    rows = await administrator.fetch(SQL["list_schemas"].text)
    assert sorted(row["name"] for row in rows) == sorted(SERVICES)


async def test_every_table_of_a_tenant_is_behind_forced_row_level_security(
    administrator: asyncpg.Connection,
) -> None:
    """Each has the three policies, the call's with its tenant both ways, and belongs to the owner's role."""
    policies: dict[str, dict[str, tuple[str, str, str]]] = {}
    for row in await administrator.fetch(SQL["list_policies"].text):
        policies.setdefault(row["name"], {})[row["policy"]] = (row["roles"], row["visible"], row["written"])
    tenant = "(tenant_id = current_setting('headwater.tenant'::text, true))"
    tables = await list_relations(administrator)
    for table in tables:
        assert table.owner == ROLES.owner
        if table.kind == "v" or table.is_leaf or not table.has_tenant:
            continue
        assert (table.walled, table.forced) == (True, True), table
        found = policies[f"{table.schema}.{table.name}"]
        normal = {
            name: (roles, visible.replace(' COLLATE "C"', ""), written.replace(' COLLATE "C"', ""))
            for name, (roles, visible, written) in found.items()
        }
        assert normal == {
            "headwater_owner": (ROLES.owner, "true", "true"),
            "headwater_service": (ROLES.service(table.schema), "true", "true"),
            "headwater_tenant": (ROLES.tenant(table.schema), tenant, tenant),
        }, table
    assert sum(table.walled for table in tables) > 60


async def test_a_call_sees_its_tenant_alone(
    administrator: asyncpg.Connection, filled: list[Relation]
) -> None:
    """Of every table that a call may read it sees its tenant's row, none without a tenant, and never another's."""
    readable = 0
    for table in filled:
        role = ROLES.tenant(table.schema)
        seen = await within(administrator, role, US, table, "select", THEM)
        if seen is None:
            continue
        readable += 1
        assert seen == [US], table
        assert await within(administrator, role, "", table, "select", THEM) == [], table
        assert await within(administrator, role, None, table, "select", THEM) == [], table
    assert readable > 50


@pytest.mark.parametrize("statement", ["update", "delete"])
async def test_a_call_changes_nothing_of_another_tenant(
    administrator: asyncpg.Connection, filled: list[Relation], statement: str
) -> None:
    """What a call may change it may change of its own tenant: of another's it finds no row."""
    changeable = 0
    for table in filled:
        changed = await within(administrator, ROLES.tenant(table.schema), US, table, statement, THEM)
        if changed is None:
            continue
        changeable += 1
        assert changed == [], table
    assert changeable > 5


async def test_a_call_writes_nothing_for_another_tenant(
    administrator: asyncpg.Connection, filled: list[Relation]
) -> None:
    """Where a call may insert, a row of another tenant is refused, and one of its own is not."""
    insertable = 0
    for table in filled:
        role = ROLES.tenant(table.schema)
        for tenant, taken in ((THEM, False), ("initech", True)):
            entered = "initech" if taken else US
            outcome = await within(administrator, role, entered, table, "write", tenant)
            if outcome is None:
                break
            insertable += taken
            assert outcome == (["taken"] if taken else ["refused"]), (table, tenant)
    assert insertable > 10


async def test_functions_with_their_owners_rights_have_a_fixed_search_path(
    administrator: asyncpg.Connection,
) -> None:
    """No caller chooses what the names in them mean, and nobody but who is told may call one."""
    definers = await administrator.fetch(SQL["list_definers"].text)
    assert len(definers) > 15
    for row in definers:
        assert "search_path=pg_catalog, pg_temp" in row["settings"], row["name"]
        assert row["owner"] == ROLES.owner
    assert [row["name"] for row in await administrator.fetch(SQL["list_open_functions"].text)] == []
