"""Tries statements as roles, and tells what came of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from headwater.kernel.pg import queries
from headwater.kernel.pg.migrations import SERVICES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headwater.kernel.pg.roles import Roles

SQL = queries.load("tests.integration.walls", "statements.sql")
STATEMENTS = ("select", "insert", "update", "delete", "truncate")


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a view; kind is the server's letter for it."""

    schema: str
    name: str
    kind: str
    is_leaf: bool
    walled: bool
    forced: bool
    owner: str
    has_tenant: bool
    first_column: str


async def list_relations(connection: asyncpg.Connection) -> list[Relation]:
    """Return every table and view of the services' schemas."""
    return [Relation(**row) for row in await connection.fetch(SQL["list_relations"].text)]


async def matrix(connection: asyncpg.Connection, roles: Roles) -> str:
    """Return a line for each table and view, a column for each role; partitions share a line and have to be alike."""
    columns = [name for one in SERVICES for name in (roles.service(one), roles.tenant(one))]
    lines: dict[str, str] = {}
    for relation in await list_relations(connection):
        label = f"{relation.schema}.{relation.name}"
        if relation.is_leaf:
            label = f"{relation.schema}.{relation.name.rpartition('_')[0]}_*"
        tried = [await may(connection, role, relation) for role in columns]
        line = f"{label:28}" + "".join(f"{one:>16}" for one in tried)
        assert lines.setdefault(label, line) == line
    head = f"{'':28}" + "".join(f"{name.partition('_')[2]:>16}" for name in columns)
    return "\n".join([head, *lines.values(), ""])


async def may(connection: asyncpg.Connection, role: str, relation: Relation) -> str:
    """Return the first letters of the statements that the server lets a role run on a table; `-` for none."""
    row = await connection.fetchrow(
        SQL["write_attempts"].text, relation.schema, relation.name, relation.first_column
    )
    assert row is not None
    return "".join([name[0] for name in STATEMENTS if await _is_let(connection, role, row[name])]) or "-"


async def _is_let(connection: asyncpg.Connection, role: str, statement: str) -> bool:
    """Try a statement, undo it, and return whether the role had the right to run it."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        await connection.execute(SQL["act_as"].text, role)
        await connection.execute(SQL["enter_tenant"].text, "acme")
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        return "row-level security" in str(error)  # the right is there, the row is none of its tenant
    except (asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.WrongObjectTypeError):
        return False  # a view is not written to
    except asyncpg.PostgresError:
        return True  # the row was not good: it was looked at
    else:
        return True
    finally:
        await attempt.rollback()


async def fill(connection: asyncpg.Connection, tenants: Sequence[str]) -> list[Relation]:
    """Put a row of each tenant into every table that has tenants; return these tables."""
    for row in await connection.fetch(SQL["write_loosening"].text):
        await connection.execute(row["statement"])
    tables = [
        table
        for table in await list_relations(connection)
        if table.has_tenant and not table.is_leaf and table.kind in "rp"
    ]
    for table in tables:
        for tenant in tenants:
            await connection.execute(
                await connection.fetchval(SQL["write_row"].text, table.schema, table.name, tenant)
            )
    return tables


async def within(
    connection: asyncpg.Connection, role: str, tenant: str | None, table: Relation, statement: str, other: str
) -> list[str] | None:
    """Run a statement as a role that serves a tenant, undo it, and return the rows; None: it has no right to.

    Args:
        tenant: None: the transaction says nothing of a tenant.
        statement: select; update or delete, of the other's rows; write, a row of the other's.
    """
    if statement == "write":
        text = await connection.fetchval(SQL["write_row"].text, table.schema, table.name, other)
    else:
        row = await connection.fetchrow(SQL["write_tenant_attempts"].text, table.schema, table.name, other)
        assert row is not None
        text = row[statement]
    attempt = connection.transaction()
    await attempt.start()
    try:
        await connection.execute(SQL["act_as"].text, role)
        if tenant is not None:
            await connection.execute(SQL["enter_tenant"].text, tenant)
        if statement == "select":
            return [found["tenant_id"] for found in await connection.fetch(text)]
        told = await connection.execute(text)
    except asyncpg.InsufficientPrivilegeError as error:
        return ["refused"] if "row-level security" in str(error) else None
    else:
        if statement == "write":
            return ["taken"]
        return [other] * int(told.rpartition(" ")[2])
    finally:
        await attempt.rollback()
