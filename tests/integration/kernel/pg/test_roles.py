"""Roles of least rights: made by whoever may, by many at once, told where nobody may, and taken on by services."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import asyncpg
import pytest
from tests.integration.kernel.pg.written import SQL

from headwater.kernel.errors import StartRefused
from headwater.kernel.pg.access import parse_access
from headwater.kernel.pg.errors import AccessBehind, AccessFaulty, RolesMissing
from headwater.kernel.pg.migrations import SERVICES, find_roles, migrate, package_of
from headwater.kernel.pg.pool import as_owner
from headwater.kernel.pg.roles import Roles, RolesMode, RolesWanted, prepare_roles, roles_wanted
from headwater.kernel.service import open_database
from headwater.kernel.tenancy import every_tenant, serve_tenant
from headwater.kernel.testing import postgres
from headwater.sync.settings import SyncSettings

SYNC = package_of("sync")


@dataclass
class Place:
    """A database with roles of its own prefix."""

    server: str
    url: str
    prefix: str

    def wanted(self, mode: RolesMode = "auto") -> RolesWanted:
        return RolesWanted(mode, Roles(self.prefix))

    def url_as(self, user: str) -> str:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        query = f"?{parts.query}" if parts.query else ""
        return f"postgresql://{user}:walls@{host}{parts.path}{query}"


@pytest.fixture
async def place(postgres_server: str) -> AsyncIterator[Place]:
    url = await postgres.create_database(postgres_server)
    here = Place(postgres_server, url, f"hw_{secrets.token_hex(4)}")
    try:
        yield here
    finally:
        await postgres.drop_database(postgres_server, url)
        connection = await asyncpg.connect(postgres_server)
        for row in await connection.fetch(SQL["write_drop_roles"].text, here.prefix):
            await connection.execute(row["statement"])
        await connection.close()


async def login(place: Place, name: str, *rights: str) -> str:
    """Make a login named after the place's prefix; return its name."""
    full = f"{place.prefix}_{name}"
    connection = await asyncpg.connect(place.url)
    for text in await connection.fetch(SQL["write_login"].text, full, " ".join(rights)):
        await connection.execute(text["statement"])
    await connection.close()
    return full


async def migrated(place: Place, user: str | None = None, mode: RolesMode = "auto") -> Roles | None:
    connection = await asyncpg.connect(place.url_as(user) if user else place.url)
    try:
        roles = await prepare_roles(connection, SERVICES, place.wanted(mode))
        for service in SERVICES:
            await migrate(connection, service, package_of(service), roles=roles)
        return roles
    finally:
        await connection.close()


def settings(url: str, roles: str = "auto") -> SyncSettings:
    return SyncSettings.model_validate(
        {"HEADWATER_DATABASE_URL": url, "HEADWATER_DATABASE_ROLES": roles}, by_alias=True
    )


async def test_a_user_with_createrole_makes_them_and_owns_nothing_at_run_time(place: Place) -> None:
    """No superuser is needed; what the service then is owns no table and sees every tenant."""
    user = await login(place, "admin", "CREATEROLE")
    assert await migrated(place, user) == Roles(place.prefix)
    pool = await open_database("sync", settings(place.url_as(user)), size_min=1, size_max=2)
    async with pool:
        assert await pool.fetchval("SELECT current_user") == f"{place.prefix}_sync"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("DROP TABLE sync.entity")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("UPDATE sync.audit SET actor = 'nobody'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.fetch("SELECT 1 FROM ingest.event")
        add = (
            "INSERT INTO sync.ruling (tenant_id, event_key, entity_id, kept, rule)"
            " VALUES ($1, gen_random_uuid(), gen_random_uuid(), '{}', 'r')"
        )
        await pool.executemany(add, [("acme",), ("globex",)])
        assert await pool.fetchval("SELECT count(*) FROM sync.ruling") == 2


async def test_a_login_of_a_service_alone_cannot_climb(place: Place) -> None:
    """A login that is a member of one service's role is neither another service nor the owner."""
    await migrated(place)
    user = await login(place, "login")
    with pytest.raises(StartRefused, match=f"GRANT {place.prefix}_sync TO {user}"):
        await open_database("sync", settings(place.url_as(user)), size_min=1, size_max=2)
    administrator = await asyncpg.connect(place.url)
    await administrator.execute(f'GRANT "{place.prefix}_sync" TO "{user}"')
    await administrator.close()
    async with await open_database("sync", settings(place.url_as(user)), size_min=1, size_max=2) as pool:
        assert await pool.fetchval("SELECT current_user") == f"{place.prefix}_sync"
        for role in (f"{place.prefix}_owner", f"{place.prefix}_ingest"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(f'SET ROLE "{role}"')


async def test_calls_of_one_tenant_are_walled_in_whatever_they_ask(place: Place) -> None:
    """With a tenant at work statements and transactions see its rows alone; afterwards the connection is as before."""
    await migrated(place)
    async with await open_database("sync", settings(place.url), size_min=1, size_max=1) as pool:
        for tenant in ("acme", "globex"):
            await pool.execute(
                "INSERT INTO sync.ruling (tenant_id, event_key, entity_id, kept, rule)"
                " VALUES ($1, gen_random_uuid(), gen_random_uuid(), '{}', 'r')",
                tenant,
            )
        ask = "SELECT tenant_id, current_user::text AS role FROM sync.ruling ORDER BY 1"

        async def served(tenant: str) -> list[tuple[str, str]]:
            serve_tenant(tenant)
            rows = [tuple(row) for row in await pool.fetch(ask)]
            async with pool.acquire() as connection, connection.transaction(readonly=True):
                assert [tuple(row) for row in await connection.fetch(ask)] == rows
                async with connection.transaction():
                    assert [tuple(row) for row in await connection.fetch(ask)] == rows
            with every_tenant():
                assert len(await pool.fetch(ask)) == 2
            return rows

        outcomes: dict[str, list[tuple[str, str]]] = {}

        async def call(tenant: str) -> None:
            outcomes[tenant] = await served(tenant)

        async with anyio.create_task_group() as calls:
            for tenant in ("acme", "globex", "initech", "'; RESET ROLE; --"):
                calls.start_soon(call, tenant)
        role = f"{place.prefix}_sync_tenant"
        assert outcomes == {
            "acme": [("acme", role)],
            "globex": [("globex", role)],
            "initech": [],
            "'; RESET ROLE; --": [],
        }
        assert [row["role"] for row in await pool.fetch(ask)] == [f"{place.prefix}_sync"] * 2


async def test_upkeep_acts_as_the_owner_and_comes_back(place: Place) -> None:
    """What only an owner may is run as it; the connection is the service's again afterwards."""
    await migrated(place)
    async with await open_database("sync", settings(place.url), size_min=1, size_max=1) as pool:
        async with as_owner(pool) as connection:
            assert connection is not None
            assert await connection.fetchval("SELECT current_user") == f"{place.prefix}_owner"
            await connection.execute("VACUUM sync.due")
        assert await pool.fetchval("SELECT current_user") == f"{place.prefix}_sync"


async def test_a_user_without_createrole_is_told_and_goes_on_without(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Never weaker without a word: the statements to run are in the log, and a service says it again."""
    user = await login(place, "plain")
    with caplog.at_level(logging.WARNING):
        assert await migrated(place, user) is None
    assert f"CREATE ROLE {place.prefix}_owner NOLOGIN NOINHERIT" in caplog.text
    assert "row level security and least rights are not in force" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        async with await open_database("sync", settings(place.url_as(user)), size_min=1, size_max=1) as pool:
            assert await pool.fetchval("SELECT current_user") == user
    assert "not in force in this database" in caplog.text
    with pytest.raises(StartRefused, match="HEADWATER_DATABASE_ROLES=required"):
        await open_database("sync", settings(place.url_as(user), "required"), size_min=1, size_max=1)
    with pytest.raises(RolesMissing, match="Let an administrator run"):
        await migrated(place, user, "required")


async def test_roles_made_by_an_administrator_are_used(place: Place) -> None:
    """The statements of the message are enough; a database migrated before is handed over with what is in it."""
    user = await login(place, "plain")
    assert await migrated(place, user) is None
    administrator = await asyncpg.connect(place.url)
    connection = await asyncpg.connect(place.url_as(user))
    await connection.execute(
        "INSERT INTO sync.lease (name, holder, fence, expire_time) VALUES ('x', 'y', 1, now())"
    )
    with pytest.raises(RolesMissing) as told:
        await prepare_roles(connection, SERVICES, place.wanted("required"))
    await administrator.execute(
        str(told.value).partition("Let an administrator run: ")[2].partition("; then run")[0]
    )
    assert await migrated(place, user, "required") == Roles(place.prefix)
    assert await administrator.fetchval(
        "SELECT tableowner FROM pg_tables WHERE schemaname = 'sync' LIMIT 1"
    ) == (f"{place.prefix}_owner")
    assert await administrator.fetchval("SELECT count(*) FROM sync.lease") == 1
    await connection.close()
    await administrator.close()


async def test_many_migrators_of_many_databases_make_them_together(place: Place) -> None:
    """Roles are the server's: whoever is overtaken goes on with what the other made."""
    urls = [await postgres.create_database(place.server) for _ in range(4)]

    async def one(url: str) -> None:
        connection = await asyncpg.connect(url)
        try:
            assert await prepare_roles(connection, SERVICES, place.wanted()) == Roles(place.prefix)
        finally:
            await connection.close()

    try:
        async with anyio.create_task_group() as migrators:
            for url in [*urls, *urls]:
                migrators.start_soon(one, url)
    finally:
        for url in urls:
            await postgres.drop_database(place.server, url)


async def test_a_service_does_not_start_with_another_releases_grants(place: Place) -> None:
    """Grants belong to a release, as tables do; migrating again changes nothing."""
    await migrated(place)
    await migrated(place)
    connection = await asyncpg.connect(place.url)
    assert await find_roles(connection, "sync", SYNC) is not None
    await connection.execute(f"COMMENT ON SCHEMA sync IS 'headwater access {'0' * 64} roles {place.prefix}'")
    with pytest.raises(AccessBehind, match="headwater migrate"):
        await find_roles(connection, "sync", SYNC)
    await connection.close()
    await migrated(place)
    async with await open_database("sync", settings(place.url), size_min=1, size_max=1):
        pass


async def test_a_table_without_a_line_fails_the_migration(place: Place) -> None:
    """Who adds a table says who may do what with it."""
    roles = await migrated(place)
    assert roles is not None
    connection = await asyncpg.connect(place.url)
    await connection.execute("CREATE TABLE sync.surprise (tenant_id text); COMMENT ON SCHEMA sync IS NULL")
    with pytest.raises(AccessFaulty, match=r"table surprise has no line in access\.toml"):
        await migrate(connection, "sync", SYNC, roles=roles)
    await connection.close()


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("[tables]\nx = ['grant', '']", "grant is none of"),
        ("[tables]\nx = 'select'", "two texts"),
        ("[rights]\nx = 1", "no section is called rights"),
    ],
)
def test_a_faulty_line_is_named(text: str, rule: str) -> None:
    """The file is checked before anything is given."""
    with pytest.raises(AccessFaulty, match=rule):
        parse_access("sync", text.encode())


@pytest.mark.parametrize(
    ("variables", "rule"),
    [
        ({"HEADWATER_DATABASE_ROLES": "maybe"}, "auto, required or off"),
        ({"HEADWATER_DATABASE_ROLE_PREFIX": "No Name"}, "lower case letter"),
    ],
)
def test_a_faulty_variable_is_named(variables: dict[str, str], rule: str) -> None:
    """Names variable, value and rule."""
    with pytest.raises(ValueError, match=rule):
        roles_wanted(variables)
