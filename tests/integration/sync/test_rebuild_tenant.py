"""Making the projection of one tenant again: exactly what it was, and not a row of another tenant touched."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import pytest
from tests.integration.sync.whole import CALL_S, POLICY, Doors, doors, event, looking, syncing, until

from headwater.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

TENANTS: Final = ("acme", "beta")
QUIET: Final = POLICY.replace("vendor: hubspot", "vendor: hubspot\n    enabled: false").replace(
    "${url}", "http://127.0.0.1:1"
)
STATE: Final = {
    "records": "select object, source, external_id, entity_id, fields::text, deleted from sync.record where tenant_id = $1",
    "entities": "select entity_id, object, state, merged_into, fields::text from sync.entity where tenant_id = $1",
    "references": "select * from sync.entity_reference where tenant_id = $1",
    "ends": "select event_key, rule, superseded, poisoned from sync.projection where tenant_id = $1",
}
ROWS: Final = "select xmin::text, ctid::text, entity_id from sync.entity where tenant_id = $1"


async def state_of(connection: Any, tenant_id: str, statements: dict[str, str] = STATE) -> Any:
    """Return every row of a tenant's state as text, sorted."""
    return {
        name: sorted(repr(tuple(row)) for row in await connection.fetch(sql, tenant_id))
        for name, sql in statements.items()
    }


async def fill(world: Doors) -> None:
    """Let both tenants have the same people, whose events follow each other."""
    for tenant_id in TENANTS:
        people = [
            event("erp", "contact", f"c-{n % 30}", n, email=f"p{n % 30}@one.example.com", title=f"t{n}")
            for n in range(90)
        ]
        policy = event("headwater", "policy", tenant_id, document=QUIET)
        for events in ([policy], people):
            request = ingest_pb2.BatchRecordEventsRequest(tenant_id=tenant_id, events=events)
            told = (await world.ingest.BatchRecordEvents(request, timeout=CALL_S)).outcomes
            assert {item.disposition for item in told} == {ingest_pb2.DISPOSITION_ACCEPTED}


async def test_one_tenant_is_projected_again_and_no_other(migrated_database_url: str) -> None:
    """Its state is the same byte for byte; rows of the other tenant are not even written again."""
    url = migrated_database_url
    async with doors(url) as world, looking(url) as connection:
        await fill(world)
        events = 2 * 91

        async def projected() -> bool:
            return bool(await connection.fetchval("select count(*) from sync.projection") == events)

        async def through() -> bool:
            return await projected() and not await connection.fetchval("select count(*) from sync.rebuild")

        async with syncing(url, world.identity_address, ingest_address=world.ingest_address):
            await until(projected, 20)
        before = [await state_of(connection, tenant_id) for tenant_id in TENANTS]
        untouched = await state_of(connection, "beta", {"rows": ROWS})
        assert await connection.fetchval("select sync.begin_rebuild('user:me', 'acme')") == events // 2
        assert await connection.fetchval("select count(*) from sync.entity where tenant_id = 'acme'") == 0
        with pytest.raises(asyncpg.ObjectInUseError):
            await connection.execute("select sync.begin_rebuild('user:me', 'beta')")
        async with syncing(url, world.identity_address, ingest_address=world.ingest_address):
            await until(through, 20)
        assert [await state_of(connection, tenant_id) for tenant_id in TENANTS] == before
        assert await state_of(connection, "beta", {"rows": ROWS}) == untouched
        assert await connection.fetchval("select count(*) from sync.rebuild_scope") == 0
