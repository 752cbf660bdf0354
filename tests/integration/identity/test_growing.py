"""A tenant that has grown: shared names say less than they did, and edges that it has outgrown are scored anew."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from tests.integration.identity.conftest import TENANT, Client, client_of, record

from headwater.event.v1 import event_pb2
from headwater.identity.domain.scoring.sizes import SAMPLE_RECORDS, sizes_of
from headwater.identity.domain.scoring.versions import number_of_size
from headwater.identity.store import PostgresWeightsStore
from headwater.identity.store.session import Sessions
from headwater.identity.v1 import identity_pb2
from headwater.kernel.ids import TenantId
from headwater.kernel.pg.pool import open_pool
from headwater.kernel.telemetry import Spans

pytestmark = pytest.mark.anyio

GROWN = """
WITH e AS (
    INSERT INTO identity.entity (tenant_id, entity_id, object, create_time)
    SELECT $1, gen_random_uuid(), 'contact', now() FROM generate_series(1, $2) RETURNING entity_id
)
INSERT INTO identity.member (
    tenant_id, record_id, source, object, external_id, entity_id, group_id, event_key, resolve_time
)
SELECT $1, entity_id, 's', 'contact', entity_id::text, entity_id, entity_id, entity_id, now() FROM e
"""
EDGES = "SELECT weights, bits FROM identity.edge WHERE tenant_id = $1 ORDER BY bits DESC"
NAMESAKE: dict[str, Any] = {"first_name": "Ann", "last_name": "Lee"}


async def _version(client: Client) -> str:
    def ref(name: str) -> event_pb2.RecordRef:
        return event_pb2.RecordRef(source="crm", object="contact", external_id=name)

    request = identity_pb2.ExplainRequest(tenant_id=TENANT, left_record=ref("1"), right_record=ref("2"))
    return (await client.stub.Explain(request)).weights_version


async def test_edges_that_a_tenant_has_outgrown_are_scored_anew_when_touched(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Two of one name and city: each doubling takes a bit. A service that starts then knows the size at once."""
    await identity.resolve(record("1", city="Paris", **NAMESAKE), record("2", city="Paris", **NAMESAKE))
    (before,) = await tables.fetch(EDGES, TENANT)
    assert (before["weights"], await _version(identity)) == (0, "shipped-2")
    await tables.execute(GROWN, TENANT, 45_000)
    async with client_of(identity.settings, identity.log) as grown:
        assert await _version(grown) == "shipped-2"
        await grown.resolve(record("1", city="Paris", title="Director", **NAMESAKE))
        (after,) = await tables.fetch(EDGES, TENANT)
        assert after["weights"] == number_of_size(2)
        assert after["bits"] == pytest.approx(before["bits"] - 2, abs=0.01)
        assert await _version(grown) == "shipped-2x4"


async def test_the_first_ids_tell_how_many_records_there_are(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Of few the sample is all; of many it is the beginning, and what is beside it counts too."""
    await identity.resolve(record("1", **NAMESAKE), record("2", object_name="account", name="Acorn"))
    pool = await open_pool(identity.settings.database_url, application_name="test", size_max=2)
    async with pool:
        store = PostgresWeightsStore(Sessions(pool, Spans.off(), 10.0))
        few = await store.measure(TenantId(TENANT), SAMPLE_RECORDS)
        assert few is not None
        assert few.counts == {"contact": 1, "account": 1}
        assert await store.measure(TenantId("nobody"), SAMPLE_RECORDS) is None
        await tables.execute(GROWN, TENANT, 45_000)
        many = await store.measure(TenantId(TENANT), SAMPLE_RECORDS)
        assert many is not None
        assert sum(many.counts.values()) == SAMPLE_RECORDS
        assert sizes_of(many, ("account", "contact")) == (0, 2)
