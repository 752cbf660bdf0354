"""Prints the matrix of roles and tables as a newly migrated server has it."""

from __future__ import annotations

import asyncio

import asyncpg
from tests.integration.walls.tried import matrix

from headwater.kernel.pg.roles import Roles
from headwater.kernel.testing import postgres


async def _print() -> None:
    with postgres.shared_server() as server:
        url = await postgres.create_template(server)
        connection = await asyncpg.connect(url)
        try:
            print(await matrix(connection, Roles("headwater")), end="")  # noqa: T201 - what it is for
        finally:
            await connection.close()
            await postgres.drop_database(server, url)


asyncio.run(_print())
