"""Databases for tests: one server per session, any number of throw-away databases in it.

Owns making and dropping them. Must not be imported by a service.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import asyncpg

from headwater.kernel.pg import queries
from headwater.kernel.pg.dsn import database_url, with_database
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.migrations import SERVICES, migrate, package_of
from headwater.kernel.pg.roles import prepare_roles, roles_wanted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

NAME_PREFIX: Final = "headwater_test_"
CONNECT_TIMEOUT_S: Final = 10.0
DROP_TIMEOUT_S: Final = 10.0

TEST_SETTINGS: Final[Mapping[str, str]] = {
    "shared_buffers": "128MB",
    "wal_buffers": "16MB",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "checkpoint_timeout": "5min",
    "log_checkpoints": "off",
}
"""Small, yet as durable as in production, so that durability checks see the real thing."""

_SQL = queries.load("headwater.kernel.testing", "databases.sql")


@contextmanager
def shared_server(environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """A server for a whole test session: the one that the environment names, or one in a new directory.

    Yields:
        The URL of a database in which to make others.
    """
    if named := database_url(environment):
        yield named
        return
    directory = Path(tempfile.mkdtemp(prefix="headwater-test-"))
    server = EmbeddedPostgres(directory, settings=TEST_SETTINGS)
    try:
        yield server.start()
    finally:
        server.stop("immediate")
        shutil.rmtree(directory)


@asynccontextmanager
async def temporary_database(server: str, template: str | None = None) -> AsyncIterator[str]:
    """An own database, empty or a copy, dropped with whoever is connected when the block is left.

    Args:
        server: URL of any database of the server.
        template: URL of a database of the same server to copy, to which nobody is connected.

    Yields:
        The URL of the new database.
    """
    url = await create_database(server, template)
    try:
        yield url
    finally:
        with anyio.move_on_after(DROP_TIMEOUT_S, shield=True):
            await drop_database(server, url)


async def create_database(server: str, template: str | None = None) -> str:
    """Make a database of a random name, empty or a copy of a template, and return its URL."""
    name = NAME_PREFIX + secrets.token_hex(8)
    if template is None:
        await _run_written(server, "write_create_database", name)
    else:
        await _run_written(server, "write_clone_database", name, _name_of(template))
    return with_database(server, name)


async def drop_database(server: str, url: str) -> None:
    """Drop a database that `create_database` made; others are refused."""
    name = _name_of(url)
    if not name.startswith(NAME_PREFIX):
        raise ValueError(f"{name} is no test database")
    await _run_written(server, "write_drop_database", name)


async def create_template(server: str, services: Sequence[str] = SERVICES) -> str:
    """Make a database migrated with every service's migrations, to be cloned; return its URL."""
    url = await create_database(server)
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT_S)
    try:
        roles = await prepare_roles(connection, SERVICES, roles_wanted(os.environ))
        for service in services:
            await migrate(connection, service, package_of(service), roles=roles)
    finally:
        await connection.close()
    return url


async def _run_written(server: str, query: str, *names: str) -> None:
    connection = await asyncpg.connect(server, timeout=CONNECT_TIMEOUT_S)
    try:
        statement = await connection.fetchval(_SQL[query].text, *names)
        await connection.execute(statement)
    finally:
        await connection.close()


def _name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]
