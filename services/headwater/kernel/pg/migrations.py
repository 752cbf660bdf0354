"""Brings each service's schema to this release's version. Owns numbering, order, checksums and the lock.

Migrations are files `migrations/NNNN_name.sql` in the service's package: forward-only, numbered from
0001 without a gap, never changed once applied, each run in its own transaction with the service's
schema first in `search_path` and, where roles are used, as their owner. What the service's roles may do (`access`) is brought
up to this release afterwards. Must not know what any migration does.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

import anyio

from headwater.kernel.pg import queries
from headwater.kernel.pg.access import apply_access, hand_over, read_access
from headwater.kernel.pg.errors import (
    AccessBehind,
    MigrationFaulty,
    MigrationLockTimeout,
    RolesMissing,
    SchemaAhead,
    SchemaBehind,
    SchemaDiffers,
)
from headwater.kernel.pg.roles import FoundRoles, Roles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from headwater.kernel.pg.pool import Connection

SERVICES: Final = ("ingest", "identity", "sync")
"""Services that own a schema, in the order in which they are migrated: sync reads ingest's log."""

LOCK_KEY: Final = 0x6865_6164_7761_7465
"""Advisory lock that serialises the migrators of one database: the bytes of `headwate`."""

LOCK_POLL_S: Final = 0.05
LOCK_TIMEOUT_S: Final = 120.0
"""A migrator that waits longer gives up; the longest migration of a release must be shorter."""

TABLE_LOCK_TIMEOUT_S: Final = 10.0
"""A migration queues no longer for a table's lock, for every later query queues behind it."""

UNLOCK_TIMEOUT_S: Final = 5.0

_FILE_NAME = re.compile(r"(?P<version>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")
_SQL = {
    **queries.load("headwater.kernel.pg", "migrations.sql"),
    **queries.load("headwater.kernel.pg", "access.sql"),
    **queries.load("headwater.kernel.pg", "roles.sql"),
}


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of a schema, as this release has it."""

    version: int
    name: str
    sha256: str
    sql: str


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """One step as the database remembers it."""

    version: int
    name: str
    sha256: str


def package_of(service: str) -> str:
    """The package whose `migrations/` folder holds a service's steps."""
    return f"headwater.{service}"


async def migrate(
    connection: Connection,
    service: str,
    package: str,
    *,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    roles: Roles | None = None,
) -> tuple[Migration, ...]:
    """Apply what is missing of a service's migrations, in order, each in its own transaction.

    Idempotent; any number of migrators may run at once, one works and the others wait.

    Args:
        service: name of the service and of its schema.
        package: package with a `migrations/` folder.
        lock_timeout_s: longest wait for another migrator.
        roles: made by `roles.prepare_roles`; None leaves everything to the connected user.

    Returns:
        What this call applied; empty when the schema was up to date.

    Raises:
        SchemaFault: see the tree in `errors`; asyncpg.PostgresError of the migration itself, which
            is then rolled back, those before it staying applied.

    Cancellation: the migration under way is rolled back, the lock is released.
    """
    wanted = read_migrations(service, package)
    async with _lock(connection, service, lock_timeout_s):
        await _prepare(connection, service, roles)
        missing = plan(service, wanted, await _applied(connection, service))
        for migration in missing:
            await _apply(connection, service, migration, roles)
        if roles is not None:
            await _apply_access(connection, service, package, roles, again=bool(missing))
    return missing


async def check_schema(connection: Connection, service: str, package: str) -> None:
    """Refuse to start a service on a schema that is not this release's.

    Raises:
        SchemaBehind, SchemaAhead, SchemaDiffers: what is wrong and what to do.
    """
    wanted = read_migrations(service, package)
    missing = plan(service, wanted, await _applied(connection, service))
    if missing:
        raise SchemaBehind(service, applied=missing[0].version - 1, wanted=wanted[-1].version)


async def find_roles(connection: Connection, service: str, package: str) -> FoundRoles | None:
    """Find the roles that the last migrating left; None where it left everything to one user.

    Raises:
        AccessBehind: grants and policies are another release's.
        RolesMissing: the user may not take on the service's role.
    """
    walls = await connection.fetchrow(_SQL["read_walls"].text, service)
    if walls is None or walls["prefix"] is None:
        return None
    roles = Roles(walls["prefix"])
    if not walls["is_member"]:
        message = (
            f"{walls['login']} may not work as {roles.service(service)}: let an administrator run "
            f"GRANT {roles.service(service)} TO {walls['login']}, or run `headwater migrate` as a user that may"
        )
        raise RolesMissing(message)
    access = read_access(service, package)
    if access is None or access.digest != walls["digest"]:
        raise AccessBehind(service)
    return FoundRoles(roles, may_own=walls["may_own"])


def plan(
    service: str, wanted: Sequence[Migration], applied: Sequence[AppliedMigration]
) -> tuple[Migration, ...]:
    """Decide which steps are missing.

    Args:
        wanted: this release's steps, numbered from 1 without a gap.
        applied: the database's, by version.

    Raises:
        SchemaAhead, SchemaDiffers: the applied steps are not a beginning of the wanted ones.
    """
    if len(applied) > len(wanted):
        raise SchemaAhead(service, applied=applied[-1].version, known=len(wanted))
    for ours, theirs in zip(wanted, applied, strict=False):
        if (ours.version, ours.sha256) != (theirs.version, theirs.sha256):
            raise SchemaDiffers(service, theirs.version, _label(theirs), _label(ours))
    return tuple(wanted[len(applied) :])


def read_migrations(service: str, package: str) -> tuple[Migration, ...]:
    """Read the steps that a package ships; none when it has no `migrations/` folder."""
    folder = resources.files(package) / "migrations"
    if not folder.is_dir():
        return ()
    files = {entry.name: entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".sql")}
    return arrange(service, files.items())


def arrange(service: str, files: Iterable[tuple[str, bytes]]) -> tuple[Migration, ...]:
    """Put migration files in order and refuse a bad name, a duplicate or a gap."""
    found = sorted((_parse(service, name, content) for name, content in files), key=lambda m: m.version)
    for due, migration in enumerate(found, start=1):
        if migration.version != due:
            raise MigrationFaulty(
                service, f"number {migration.version:04} ({migration.name}) where {due:04} is due"
            )
    return tuple(found)


def _parse(service: str, file_name: str, content: bytes) -> Migration:
    match = _FILE_NAME.fullmatch(file_name)
    if match is None:
        raise MigrationFaulty(service, f"{file_name}: a migration is called 0001_what_it_does.sql")
    # Line endings are the checkout's business, not the migration's.
    sql = content.decode("utf-8").replace("\r\n", "\n")
    return Migration(int(match["version"]), match["name"], hashlib.sha256(sql.encode()).hexdigest(), sql)


def _label(migration: Migration | AppliedMigration) -> str:
    return f"{migration.name} ({migration.sha256[:12]})"


@asynccontextmanager
async def _lock(connection: Connection, service: str, timeout_s: float) -> AsyncIterator[None]:
    # Tried again and again rather than waited for: a waiter would hold a snapshot for all that time.
    deadline = anyio.current_time() + timeout_s
    while not await connection.fetchval(_SQL["try_lock"].text, LOCK_KEY):
        if anyio.current_time() > deadline:
            raise MigrationLockTimeout(service, f"another migrator held the lock for {timeout_s} s")
        await anyio.sleep(LOCK_POLL_S)
    try:
        yield
    finally:
        with anyio.move_on_after(UNLOCK_TIMEOUT_S, shield=True):
            if not connection.is_closed():
                await connection.fetchval(_SQL["unlock"].text, LOCK_KEY)


async def _prepare(connection: Connection, service: str, roles: Roles | None) -> None:
    async with connection.transaction():
        await connection.execute(_SQL["set_limits"].text, str(round(TABLE_LOCK_TIMEOUT_S * 1000)))
        await connection.execute(_SQL["enter_schema"].text, service)
        await connection.execute(_SQL["create_schema"].text)
        if not await connection.fetchval(_SQL["book_exists"].text, service):
            await connection.execute(_SQL["create_book"].text)
        if roles is not None:
            await hand_over(connection, service, roles)


async def _apply_access(
    connection: Connection, service: str, package: str, roles: Roles, *, again: bool
) -> None:
    """Bring grants and policies to this release unless they are; *again* where a migration may have made tables."""
    access = read_access(service, package)
    if access is None:
        return
    there = await connection.fetchrow(_SQL["read_walls"].text, service)
    if (
        not again
        and there is not None
        and (there["digest"], there["prefix"]) == (access.digest, roles.prefix)
    ):
        return
    async with connection.transaction():
        await connection.execute(_SQL["set_limits"].text, str(round(TABLE_LOCK_TIMEOUT_S * 1000)))
        await connection.execute(_SQL["act_as"].text, roles.owner)
        await apply_access(connection, access, roles, SERVICES)


async def _applied(connection: Connection, service: str) -> tuple[AppliedMigration, ...]:
    async with connection.transaction():
        if not await connection.fetchval(_SQL["book_exists"].text, service):
            return ()
        await connection.execute(_SQL["enter_schema"].text, service)
        rows = await connection.fetch(_SQL["list_applied"].text)
    return tuple(AppliedMigration(row["version"], row["name"], row["sha256"]) for row in rows)


async def _apply(connection: Connection, service: str, migration: Migration, roles: Roles | None) -> None:
    async with connection.transaction():
        await connection.execute(_SQL["set_limits"].text, str(round(TABLE_LOCK_TIMEOUT_S * 1000)))
        if roles is not None:
            await connection.execute(_SQL["act_as"].text, roles.owner)
        await connection.execute(_SQL["enter_schema"].text, service)
        await connection.execute(migration.sql)
        if not connection.is_in_transaction():
            raise MigrationFaulty(
                service, f"{migration.version:04}_{migration.name} ends its own transaction"
            )
        # Again, for the migration may have set another search_path.
        await connection.execute(_SQL["enter_schema"].text, service)
        await connection.execute(
            _SQL["record_applied"].text, migration.version, migration.name, migration.sha256
        )
