"""Refused calls in the audit: written by every service's role, of the caller's tenant, and by no call."""

from __future__ import annotations

import asyncpg
import pytest

from headwater.ingest.settings import IngestSettings
from headwater.kernel.security.denial_book import PostgresDenialBook
from headwater.kernel.security.denials import Denied
from headwater.kernel.service import open_database
from headwater.kernel.tenancy import every_tenant, serve_tenant


async def test_ingest_writes_its_refusals_into_the_audit_and_reads_none_of_it(
    migrated_database_url: str,
) -> None:
    """The function is all that another service has of sync's schema, also while a call is served."""
    settings = IngestSettings.model_validate({"HEADWATER_DATABASE_URL": migrated_database_url})
    async with await open_database("ingest", settings, size_min=1, size_max=1) as pool:
        with every_tenant():  # what the block sets ends with it: the tests of a worker share one task
            serve_tenant("globex")
            refused = Denied("acme", "spiffe://house/gateway", "/service/Method", "TENANT_DENIED", "globex")
            assert await PostgresDenialBook(pool).write([(refused, 1_001)])
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.fetch("SELECT 1 FROM sync.audit")
    connection = await asyncpg.connect(migrated_database_url)
    try:
        (entry,) = await connection.fetch("SELECT tenant_id, action, actor, changes::text FROM sync.audit")
    finally:
        await connection.close()
    assert tuple(entry)[:3] == ("acme", "access_denied", "spiffe://house/gateway")
    for told in ("/service/Method", "TENANT_DENIED", "globex", "1001"):
        assert told in entry["changes"]


async def test_without_the_function_refusals_wait(database_url: str) -> None:
    """A database that is not migrated to it fails no service."""
    connection = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    async with connection:
        assert not await PostgresDenialBook(connection).write([(Denied("acme", "x", "/m", "r"), 1)])
