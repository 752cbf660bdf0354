"""What operators order: pausing, resuming, resetting, replaying, discarding; each audited, each once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import anyio
import grpc
import pytest
from tests.integration.sync.world import ACTOR, OTHER, World, refusal
from tests.unit.sync.tenant import NOON, TENANT, key, moment

from headwater.sync.delivery.host import lease_name
from headwater.sync.domain.breaker import BreakerState
from headwater.sync.v1 import sync_pb2 as pb

pytestmark = pytest.mark.anyio

ORDER: dict[str, Any] = {"tenant_id": TENANT, "connector": "salesforce", "actor": ACTOR}


async def connectors(world: World, tenant_id: str = TENANT) -> dict[str, pb.Connector]:
    """Return the connector accounts by name."""
    response = await world.stub.ListConnectors(pb.ListConnectorsRequest(tenant_id=tenant_id))
    return {item.connector: item for item in response.connectors}


async def test_connectors_come_from_the_policy(world: World) -> None:
    """Accounts are those of the policy, by name, also before anything was stored about them."""
    found = await connectors(world)
    assert list(found) == ["hubspot", "old", "salesforce"]
    account = found["salesforce"]
    assert (account.vendor, account.owner, account.backup) == ("salesforce", "sales-ops", "platform")
    assert (account.runbook, account.quota_limit) == ("https://runbooks/sf", 15000)
    assert (account.breaker_state, account.holder, account.paused) == ("closed", "", False)
    assert (account.finding, found["old"].finding) == ("", "disabled in the policy")


async def test_a_tenant_without_a_policy_has_no_connectors(world: World) -> None:
    """Nothing is made up for a tenant nobody knows."""
    assert await connectors(world, "nobody") == {}


async def test_a_connector_shows_queue_breaker_quota_and_holder(world: World) -> None:
    """Counts come from deliveries, quota from the larger count of today, the holder from an unexpired lease."""
    for number, state in enumerate((1, 3, 4, 2, 5, 6, 5), start=1):
        await world.add_delivery(number, state)
    await world.pool.execute(
        "update sync.delivery set mark_time = clock_timestamp() - interval '90 s' where entity_id = $1",
        key(2),
    )
    broken = BreakerState(5, 60.0, moment(30))
    await world.insert(
        "connector_state",
        tenant_id=TENANT,
        connector="salesforce",
        breaker=broken.as_json(),
        finding="no field",
    )
    for day, calls in ((NOON.date(), 10), (NOON.date() - dt.timedelta(days=1), 99)):
        await world.insert(
            "quota", tenant_id=TENANT, connector="salesforce", day=day, calls=calls, vendor_used=12,
            vendor_limit=900,
        )  # fmt: skip
    lease = lease_name((TENANT, "salesforce"))
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)
    await world.insert("lease", name=lease, holder="host:1", fence=1, expire_time=expires)

    account = (await connectors(world))["salesforce"]

    assert (account.pending_count, account.dead_count) == (3, 2)
    assert 90 <= account.oldest_pending_s < 100
    assert (account.breaker_state, account.finding) == ("open", "no field")
    assert account.breaker_probe_time.ToDatetime(dt.UTC) == moment(30)
    assert (account.quota_used, account.quota_limit, account.holder) == (12, 900, "host:1")
    world.clock.advance(31)
    assert (await connectors(world))["salesforce"].breaker_state == "half_open"
    await world.pool.execute("update sync.lease set expire_time = '-infinity'")
    assert (await connectors(world))["salesforce"].holder == ""


async def test_our_count_of_calls_stands_where_the_vendor_tells_none(world: World) -> None:
    """A vendor that never said how many calls it counted does not hide ours."""
    await world.insert("quota", tenant_id=TENANT, connector="salesforce", day=NOON.date(), calls=4)
    account = (await connectors(world))["salesforce"]
    assert (account.quota_used, account.quota_limit) == (4, 15000)


async def test_pausing_twice_is_audited_once(world: World) -> None:
    """The second order finds what it wants and changes nothing; resuming likewise."""
    for _ in range(2):
        response = await world.stub.PauseConnector(pb.PauseConnectorRequest(**ORDER))
        assert response.connector.paused
    for _ in range(2):
        resumed = await world.stub.ResumeConnector(pb.ResumeConnectorRequest(**ORDER))
        assert not resumed.connector.paused
    assert await world.audit_actions() == ["connector_paused", "connector_resumed"]
    row = await world.pool.fetchrow("select * from sync.audit order by audit_id limit 1")
    assert row is not None
    assert (row["actor"], row["connector"], row["policy_version"]) == ("operator-1", "salesforce", "7")


async def test_resuming_what_was_never_paused_leaves_no_audit(world: World) -> None:
    """An account without a stored state runs already."""
    await world.stub.ResumeConnector(pb.ResumeConnectorRequest(**ORDER))
    assert await world.audit_actions() == []


async def test_pausing_touches_no_other_account(world: World) -> None:
    """Neither another account nor the same account of another tenant is paused."""
    await world.stub.PauseConnector(pb.PauseConnectorRequest(**ORDER))
    assert not (await connectors(world))["hubspot"].paused
    assert not (await connectors(world, OTHER))["salesforce"].paused


async def test_many_pauses_at_once_are_audited_once(world: World) -> None:
    """Orders that race are put in a row by the database."""

    async def pause() -> None:
        await world.stub.PauseConnector(pb.PauseConnectorRequest(**ORDER))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(pause)
    assert await world.audit_actions() == ["connector_paused"]


async def test_a_reset_closes_the_breaker_for_the_actor_too(world: World) -> None:
    """The breaker is empty and its generation higher, once; the audit keeps what it was."""
    broken = BreakerState(5, 60.0, moment(30)).as_json()
    await world.insert("connector_state", tenant_id=TENANT, connector="salesforce", breaker=broken)
    for _ in range(2):
        response = await world.stub.ResetBreaker(pb.ResetBreakerRequest(**ORDER))
        assert response.connector.breaker_state == "closed"
    row = await world.pool.fetchrow("select * from sync.connector_state")
    assert row is not None
    assert (row["breaker"], row["breaker_generation"]) == ({}, 1)
    assert await world.audit_actions() == ["breaker_reset"]
    audit = await world.pool.fetchval("select changes from sync.audit")
    assert audit == [{"field": "breaker", "before": broken, "after": {}, "rule": "operator"}]


async def test_resetting_a_closed_breaker_changes_nothing(world: World) -> None:
    """A closed breaker without failures has nothing to forget."""
    await world.insert(
        "connector_state", tenant_id=TENANT, connector="salesforce", breaker=BreakerState().as_json()
    )
    await world.stub.ResetBreaker(pb.ResetBreakerRequest(**ORDER))
    assert await world.audit_actions() == []
    assert await world.pool.fetchval("select breaker_generation from sync.connector_state") == 0


async def test_a_reset_forgets_failures_of_a_closed_breaker(world: World) -> None:
    """Failures that have not opened the breaker yet are forgotten, too."""
    counted = BreakerState(failures=3).as_json()
    await world.insert("connector_state", tenant_id=TENANT, connector="salesforce", breaker=counted)
    await world.stub.ResetBreaker(pb.ResetBreakerRequest(**ORDER))
    assert await world.audit_actions() == ["breaker_reset"]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("PauseConnector", pb.PauseConnectorRequest(**{**ORDER, "connector": "unknown"})),
        ("ResumeConnector", pb.ResumeConnectorRequest(**{**ORDER, "connector": "unknown"})),
        ("ResetBreaker", pb.ResetBreakerRequest(**{**ORDER, "connector": "unknown"})),
        ("ReplayDeliveries", pb.ReplayDeliveriesRequest(**{**ORDER, "connector": "unknown"})),
    ],
)
async def test_an_unknown_connector_is_not_found(world: World, method: str, request_: Any) -> None:
    """An account that the policy does not name cannot be steered, and leaves no trace."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(world.stub, method)(request_)
    assert refusal(caught.value)[:2] == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CONNECTOR")
    assert await world.pool.fetchval("select count(*) from sync.connector_state") == 0


async def test_replaying_makes_every_dead_delivery_due(world: World) -> None:
    """Without entities the dead of the account are replayed, not the discarded, not those of others."""
    dead: dict[str, Any] = {"try_count": 4, "failure_count": 3}
    for number, state in ((1, 5), (2, 5), (3, 6), (4, 2)):
        await world.add_delivery(number, state, **dead)
    await world.add_delivery(1, 5, "hubspot")
    await world.add_delivery(1, 5, tenant_id=OTHER)

    rehearsed = await world.stub.ReplayDeliveries(pb.ReplayDeliveriesRequest(**ORDER, dry_run=True))
    assert rehearsed.replayed_count == 2
    assert await world.audit_actions() == []
    response = await world.stub.ReplayDeliveries(pb.ReplayDeliveriesRequest(**ORDER))
    assert response.replayed_count == 2
    again = await world.stub.ReplayDeliveries(pb.ReplayDeliveriesRequest(**ORDER))
    assert again.replayed_count == 0

    rows = await world.pool.fetch(
        "select entity_id, failure_count, try_count, lane, due_time <= clock_timestamp() as due"
        " from sync.delivery inner join sync.due using (tenant_id, connector, entity_id)"
        " where tenant_id = $1 and connector = 'salesforce' and state = 1 order by entity_id",
        TENANT,
    )
    assert [tuple(row) for row in rows] == [(key(1), 0, 4, 2, True), (key(2), 0, 4, 2, True)]
    assert await world.audit_actions() == ["deliveries_replayed"] * 2
    assert await world.pool.fetchval("select count(*) from sync.delivery where state = 5") == 2


async def test_a_discarded_delivery_is_replayed_when_named(world: World) -> None:
    """Naming an entity replays what was discarded; what stands otherwise is left alone."""
    await world.add_delivery(1, 6, discard_reason="obsolete")
    await world.add_delivery(2, 3)
    entities = [str(key(1)), str(key(2)), str(key(9))]
    request = pb.ReplayDeliveriesRequest(**ORDER, entity_ids=entities)
    assert (await world.stub.ReplayDeliveries(request)).replayed_count == 1
    (row,) = await world.pool.fetch("select * from sync.delivery where entity_id = $1", key(1))
    assert (row["state"], row["discard_reason"]) == (1, "")
    changes = await world.pool.fetchval("select changes from sync.audit")
    assert changes == [{"field": "state", "before": "discarded", "after": "pending", "rule": "operator"}]


async def test_discarding_ends_dead_deliveries_with_a_reason(world: World) -> None:
    """Only dead deliveries of the entities named are ended, each with an audit entry that says why."""
    for number, state in ((1, 5), (2, 3), (3, 5)):
        await world.add_delivery(number, state)
    order = {**ORDER, "entity_ids": [str(key(1)), str(key(2))], "discard_reason": "left the company"}
    rehearsed = await world.stub.DiscardDeliveries(pb.DiscardDeliveriesRequest(**order, dry_run=True))
    assert rehearsed.discarded_count == 1
    assert await world.audit_actions() == []
    for expected in (1, 0):
        response = await world.stub.DiscardDeliveries(pb.DiscardDeliveriesRequest(**order))
        assert response.discarded_count == expected
    states = await world.pool.fetch("select state, discard_reason from sync.delivery order by entity_id")
    assert [tuple(row) for row in states] == [(6, "left the company"), (3, ""), (5, "")]
    page = await world.stub.ListAudit(pb.ListAuditRequest(tenant_id=TENANT, entity_id=str(key(1))))
    (entry,) = page.entries
    assert (entry.action, entry.actor, entry.event_key) == (
        "deliveries_discarded",
        "operator-1",
        str(key(1)),
    )
    assert entry.changes[1].after_json == '"left the company"'


async def test_what_a_removed_account_left_can_be_discarded(world: World) -> None:
    """An account that the policy no longer names cannot be replayed, but can be tidied up."""
    await world.add_delivery(1, 5, "removed")
    order = {**ORDER, "connector": "removed", "entity_ids": [str(key(1))], "discard_reason": "account closed"}
    assert (await world.stub.DiscardDeliveries(pb.DiscardDeliveriesRequest(**order))).discarded_count == 1


@pytest.mark.parametrize("method", ["pause", "reset", "replay"])
async def test_an_order_wakes_the_actors(world: World, method: str) -> None:
    """What changed something notifies the delivery actors as it commits."""
    rung = anyio.Event()
    await world.add_delivery(1, 5)
    await world.insert("connector_state", tenant_id=TENANT, connector="salesforce", breaker={"failures": 1})
    calls: dict[str, Any] = {
        "pause": lambda: world.stub.PauseConnector(pb.PauseConnectorRequest(**ORDER)),
        "reset": lambda: world.stub.ResetBreaker(pb.ResetBreakerRequest(**ORDER)),
        "replay": lambda: world.stub.ReplayDeliveries(pb.ReplayDeliveriesRequest(**ORDER)),
    }

    def ring(*_: Any) -> None:
        rung.set()

    async with world.pool.acquire() as connection:
        await connection.add_listener("headwater_delivery", ring)
        await calls[method]()
        with anyio.fail_after(5):
            await rung.wait()
        await connection.remove_listener("headwater_delivery", ring)
