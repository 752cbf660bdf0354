"""Brings every service's schema to this release, in order. This and `rebuilding` alone open a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import asyncpg

from headwater.kernel.errors import Unavailable
from headwater.kernel.pg.dsn import check_version, masked
from headwater.kernel.pg.migrations import SERVICES, migrate, package_of

CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration that was applied now."""

    service: str
    version: int
    name: str


async def migrate_all(database_url: str) -> tuple[Applied, ...]:
    """Apply what is missing in every service's schema; idempotent.

    Raises:
        Unavailable: the database cannot be reached.
        SchemaFault: see `kernel.pg.errors`.
    """
    try:
        connection = await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(f"no database at {masked(database_url)}: {error}") from error
    try:
        check_version(connection)
        applied: list[Applied] = []
        for service in SERVICES:
            steps = await migrate(connection, service, package_of(service))
            applied += [Applied(service, step.version, step.name) for step in steps]
        return tuple(applied)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)
