"""Brings every service's schema to this release, in order. This, `rebuilding` and the doctor alone open a database."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import asyncpg

from headwater.kernel.errors import StartRefused, Unavailable
from headwater.kernel.pg.dsn import check_version, masked
from headwater.kernel.pg.errors import PostgresFault
from headwater.kernel.pg.migrations import SERVICES, migrate, package_of
from headwater.kernel.pg.roles import RolesWanted, prepare_roles, roles_wanted

CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration that was applied now."""

    service: str
    version: int
    name: str


async def migrate_all(database_url: str, wanted: RolesWanted | None = None) -> tuple[Applied, ...]:
    """Apply what is missing in every service's schema, and bring its roles' rights to this release; idempotent.

    Args:
        wanted: of the database's roles; by default what the environment says.

    Raises:
        Unavailable: the database cannot be reached.
        StartRefused: what is wrong with the database; roles are required, and the user may not make them. See
            `kernel.pg.errors`.
    """
    try:
        wanted = wanted or roles_wanted(os.environ)
    except ValueError as error:
        raise StartRefused(str(error), reason="SETTINGS") from error
    try:
        connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(f"no database at {masked(database_url)}: {error}") from error
    try:
        check_version(connection)
        roles = await prepare_roles(connection, SERVICES, wanted)
        applied: list[Applied] = []
        for service in SERVICES:
            steps = await migrate(connection, service, package_of(service), roles=roles)
            applied += [Applied(service, step.version, step.name) for step in steps]
        return tuple(applied)
    except PostgresFault as fault:
        raise StartRefused(str(fault), reason=fault.reason) from fault
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)
