"""Whether the database's grants and policies are still those of `access.toml`, and which statement puts each right.

`access` brings them into force once a release; what somebody grants by hand afterwards, nothing else would tell. Owns the
comparison. Changes nothing: the statements are for a person to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.kernel.pg.access import BOOK, Access, read_access

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from headwater.kernel.pg.pool import Connection
    from headwater.kernel.pg.roles import Roles

_SQL: Final = queries.load("headwater.kernel.pg", "rights.sql")
_ACCESS: Final = queries.load("headwater.kernel.pg", "access.sql")
_ROLES: Final = queries.load("headwater.kernel.pg", "roles.sql")
MAINTAIN: Final = "MAINTAIN"
CONDITIONS: Final[Mapping[str, str]] = {
    "headwater_owner": "true",
    "headwater_service": "true",
    "headwater_tenant": "(tenant_id = current_setting('headwater.tenant'::text, true))",
}
"""Policy to its condition, as the server writes it."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One right of one role on one thing of a schema: kind is SCHEMA, TABLE, COLUMN, SEQUENCE or FUNCTION."""

    kind: str
    name: str
    right: str
    role: str


@dataclass(frozen=True, slots=True)
class Drift:
    """Something that is not as declared.

    Args:
        statement: what puts it right, run as the owner; after a policy is dropped, the next look has one that makes it.
    """

    found: str
    statement: str


@dataclass(frozen=True, slots=True)
class Rights:
    """What was compared.

    Args:
        count: rights that are as declared.
    """

    count: int
    drifts: tuple[Drift, ...]


async def written_prefix(connection: Connection, service: str) -> str | None:
    """Return the prefix of the roles that a schema was given; None where the last migrating left all to one user."""
    walls = await connection.fetchrow(_ROLES["read_walls"].text, service)
    return None if walls is None or walls["prefix"] is None else str(walls["prefix"])


async def compare_rights(connection: Connection, service: str, package: str, roles: Roles) -> Rights | None:
    """Compare the rights in a service's schema with the declared ones; None where none are declared."""
    access = read_access(service, package)
    if access is None:
        return None
    rows = await connection.fetch(_SQL["list_rights"].text, service)
    functions = [row["name"] for row in await connection.fetch(_ACCESS["list_functions"].text, service)]
    sequences = [row["name"] for row in await connection.fetch(_SQL["list_sequences"].text, service)]
    held = {Right(row["kind"], row["name"], row["right_name"], row["role"]) for row in rows}
    wanted = set(declared(access, roles, functions, sequences))
    may = {
        Right(row["kind"], row["name"], row["right_name"], row["role"])
        for row in rows
        if _is_allowed(access, roles, row["parent"], row["name"], row["right_name"], row["role"])
    }
    drifts = [
        *(
            Drift(f"{one.role} lacks {_told(service, one)}", _given(service, one))
            for one in sorted(wanted - held)
        ),
        *(
            Drift(f"{one.role} has {_told(service, one)}", _taken(service, one))
            for one in sorted(held - wanted - may)
        ),
        *[one async for one in _walls(connection, access, roles)],
    ]
    return Rights(len(wanted & held), tuple(drifts))


def declared(
    access: Access, roles: Roles, functions: Sequence[str], sequences: Sequence[str]
) -> Iterator[Right]:
    """Yield every right that a file declares; of partitions none.

    Args:
        functions, sequences: names of those that there are.
    """
    service, tenant = roles.service(access.service), roles.tenant(access.service)
    for name, given in access.tables.items():
        for role, rights in ((service, given[0]), (tenant, given[1])):
            for right in filter(None, rights.split(", ")):
                yield Right("TABLE", name, right, role)
    yield Right("TABLE", BOOK, "SELECT", service)
    uses = {service: [name for name in functions if name not in access.closed], tenant: access.calls}
    others = {f"{roles.prefix}_{other}": names for other, names in access.published.items()}
    for role, names in (*uses.items(), *others.items()):
        yield Right("SCHEMA", access.service, "USAGE", role)
        for name in names:
            yield Right("FUNCTION", name, "EXECUTE", role)
    for role in uses:
        for name in sequences:
            yield Right("SEQUENCE", name, "USAGE", role)


def _is_allowed(access: Access, roles: Roles, parent: str, name: str, right: str, role: str) -> bool:
    """Tell what may be there and need not: rights on partitions, which come and go, and upkeep, which old servers lack."""
    if role != roles.service(access.service):
        return False
    given = {word for line in access.leaves.values() for word in line.split(", ")}
    return (bool(parent) and right in given) or (name in access.upkeep and right == MAINTAIN)


async def _walls(connection: Connection, access: Access, roles: Roles) -> AsyncIterator[Drift]:
    """Yield what is open, ownerless or bent of the walls themselves."""
    schema, service, tenant = access.service, roles.service(access.service), roles.tenant(access.service)
    relations = await connection.fetch(_ACCESS["list_relations"].text, schema)
    walled = [row["name"] for row in relations if row["has_tenant"] and not row["is_view"]]
    for query, arguments, what in (
        ("write_hand_over", (schema, roles.owner), "another owner"),
        ("write_definers", (schema, list(access.definers)), "a function with other rights than declared"),
        ("write_walls", (schema, walled, roles.owner, service, tenant), "a wall is missing"),
        ("write_view_walls", (schema,), "a view shows more than who asks may see"),
    ):
        for row in await connection.fetch(_ACCESS[query].text, *arguments):
            yield Drift(f"{schema}: {what}", row["statement"])
    for row in await connection.fetch(_SQL["list_policies"].text, schema):
        condition = CONDITIONS.get(row["policy"])
        if condition is None or not row["is_whole"] or {row["seen"], row["written"]} != {condition}:
            found = f"{schema}.{row['name']}: policy {row['policy']} lets through: {row['seen'] or row['written']}"
            yield Drift(found, f"DROP POLICY {row['policy']} ON {schema}.{row['name']}")
    for row in await connection.fetch(_SQL["list_powers"].text, [service, tenant]):
        if (row["role"], row["power"]) != (service, "BYPASSRLS"):  # its own work is for every tenant
            found = f"role {row['role']} has {row['power']}"
            yield Drift(found, f"ALTER ROLE {row['role']} NO{row['power']}")


def _told(schema: str, one: Right) -> str:
    name = one.name if one.kind == "SCHEMA" else f"{schema}.{one.name}"
    return f"{one.right} on {one.kind.lower()} {name}"


def _given(schema: str, one: Right) -> str:
    return f"GRANT {_what(schema, one)} TO {one.role}"


def _taken(schema: str, one: Right) -> str:
    return f"REVOKE {_what(schema, one)} FROM {one.role}"


def _what(schema: str, one: Right) -> str:
    if one.kind == "SCHEMA":
        return f"{one.right} ON SCHEMA {one.name}"
    if one.kind == "COLUMN":
        table, _, column = one.name.rpartition(".")
        return f"{one.right} ({column}) ON {schema}.{table}"
    kind = "ROUTINE" if one.kind == "FUNCTION" else one.kind
    return f"{one.right} ON {kind} {schema}.{one.name}"
