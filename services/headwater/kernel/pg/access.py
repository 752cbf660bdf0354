"""What each role may do with each table and function of a service: `access.toml`, brought into force after migrating.

Owns reading the file and applying it as a whole; nothing that it does not name is given. Every table that has a
`tenant_id` is put behind forced row level security; one without a line in the file fails the migration. Partitions
have no rights of their own: they are reached through their table, whose policies then hold. Must not know a table.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.kernel.pg.errors import AccessFaulty

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headwater.kernel.pg.pool import Connection
    from headwater.kernel.pg.roles import Roles

FILE: Final = "access.toml"
RIGHTS: Final = frozenset({"select", "insert", "update", "delete"})
GENERATION: Final = 1
"""Raised when what is applied changes though no file does."""

BOOK: Final = "schema_migration"
"""The migrator's own table: every service reads its version."""

_SQL = queries.load("headwater.kernel.pg", "access.sql")


@dataclass(frozen=True, slots=True)
class Access:
    """What a service's roles may do in its schema.

    Args:
        tables: table -> (what the service may, what a call may with its tenant's rows): words of `RIGHTS`.
        leaves: partitioned table -> what the service may with its partitions themselves.
        definers: functions that run with the owner's rights.
        closed: functions that nobody but the owner calls.
        calls: functions that a call may use.
        published: service -> functions that its own work may use; `<service>_tenant` -> that its calls may.
        upkeep: tables that the service vacuums and reindexes.
        digest: SHA-256 of what is to be applied, hexadecimal.
    """

    service: str
    tables: Mapping[str, tuple[str, str]]
    leaves: Mapping[str, str]
    definers: tuple[str, ...]
    closed: tuple[str, ...]
    calls: tuple[str, ...]
    published: Mapping[str, tuple[str, ...]]
    upkeep: tuple[str, ...]
    digest: str


def read_access(service: str, package: str) -> Access | None:
    """Read what a package says of its schema; None when it says nothing.

    Raises:
        AccessFaulty: names the line and what it should be.
    """
    resource = resources.files(package) / FILE
    if not resource.is_file():
        return None
    return parse_access(service, resource.read_bytes())


def parse_access(service: str, content: bytes) -> Access:
    """Take the text of a file apart."""
    found = tomllib.loads(content.decode("utf-8"))
    unknown = found.keys() - {"tables", "leaves", "functions", "published", "upkeep"}
    if unknown:
        raise AccessFaulty(service, f"{FILE}: no section is called {min(unknown)}")
    functions = found.get("functions", {})
    return Access(
        service=service,
        tables={name: _pair(service, name, line) for name, line in found.get("tables", {}).items()},
        leaves={name: _rights(service, name, line) for name, line in found.get("leaves", {}).items()},
        definers=tuple(functions.get("definers", ())),
        closed=tuple(functions.get("closed", ())),
        calls=tuple(functions.get("calls", ())),
        published={name: tuple(line) for name, line in found.get("published", {}).items()},
        upkeep=tuple(found.get("upkeep", {}).get("tables", ())),
        digest=hashlib.sha256(b"%d\n" % GENERATION + content.replace(b"\r\n", b"\n")).hexdigest(),
    )


async def hand_over(connection: Connection, schema: str, roles: Roles) -> None:
    """Make the owner's role own a schema that another user made; in a transaction, as that user."""
    await _write(connection, "write_hand_over", schema, roles.owner)


async def apply_access(
    connection: Connection, access: Access, roles: Roles, schemas: Collection[str]
) -> None:
    """Bring the rights of a schema to what the file says; in a transaction, as the owner.

    Args:
        schemas: services whose roles there are: the others' rights in this schema are cleared too.

    Raises:
        AccessFaulty: a table or function has no line, or a line has no table or function.
    """
    schema, service, tenant = access.service, roles.service(access.service), roles.tenant(access.service)
    relations = await connection.fetch(_SQL["list_relations"].text, schema)
    functions = [row["name"] for row in await connection.fetch(_SQL["list_functions"].text, schema)]
    _check(access, {row["name"]: row["has_tenant"] for row in relations}, functions)
    everybody = [name for one in schemas for name in (roles.service(one), roles.tenant(one))]
    await _write(connection, "write_clearing", schema, roles.owner, everybody)
    names = list(access.tables)
    for role, column in ((service, 0), (tenant, 1)):
        rights = [access.tables[name][column] for name in names]
        await _write(connection, "write_grants", schema, names, rights, role)
    await _write(connection, "write_grants", schema, [BOOK], ["SELECT"], service)
    for table, right in access.leaves.items():
        await _write(connection, "write_leaf_grants", schema, table, right, service, roles.owner)
    await _write(connection, "write_definers", schema, list(access.definers))
    open_ = [name for name in functions if name not in access.closed]
    await _write(connection, "write_uses", schema, open_, service, True)
    await _write(connection, "write_uses", schema, list(access.calls), tenant, True)
    for other, published in access.published.items():
        await _write(connection, "write_uses", schema, list(published), f"{roles.prefix}_{other}", False)
    await _write(connection, "write_upkeep", schema, list(access.upkeep), service)
    walled = [row["name"] for row in relations if row["has_tenant"] and not row["is_view"]]
    await _write(connection, "write_walls", schema, walled, roles.owner, service, tenant)
    await _write(connection, "write_view_walls", schema)
    await _write(connection, "write_note", schema, access.digest, roles.prefix)


async def _write(connection: Connection, query: str, *arguments: object) -> None:
    """Have the server write statements, and run them."""
    for row in await connection.fetch(_SQL[query].text, *arguments):
        await connection.execute(row["statement"])


def _check(access: Access, relations: Mapping[str, bool], functions: Collection[str]) -> None:
    faults = [
        f"table {name} has no line in {FILE}"
        for name in relations
        if name not in access.tables and name != BOOK
    ]
    faults += [
        f"{FILE} has a line for {name}, and there is no such table"
        for name in access.tables
        if name not in relations
    ]
    faults += [
        f"{name} is no tenant's, so that a call may only read it"
        for name, (_, call) in access.tables.items()
        if call not in {"", "SELECT"} and not relations.get(name, True)
    ]
    named = {
        *access.definers,
        *access.closed,
        *access.calls,
        *(f for line in access.published.values() for f in line),
    }
    faults += [
        f"{FILE} names {name}, and there is no such function" for name in sorted(named - set(functions))
    ]
    if faults:
        raise AccessFaulty(access.service, "; ".join(faults))


def _pair(service: str, name: str, line: object) -> tuple[str, str]:
    if not isinstance(line, list) or len(line) != 2:  # noqa: PLR2004 - the service's, and its calls'
        raise AccessFaulty(service, f"{FILE}: {name} = {line!r}: two texts, of the service and of its calls")
    return _rights(service, name, line[0]), _rights(service, name, line[1])


def _rights(service: str, name: str, words: object) -> str:
    given = words.split() if isinstance(words, str) else [repr(words)]
    if unknown := [word for word in given if word not in RIGHTS]:
        raise AccessFaulty(service, f"{FILE}: {name}: {unknown[0]} is none of {', '.join(sorted(RIGHTS))}")
    return ", ".join(word.upper() for word in given)
