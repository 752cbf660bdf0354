"""What operators order: pausing, resuming, resetting; each audited, each once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import anyio
import grpc
import pytest
from tests.integration.sync.world import ACTOR, OTHER, World, refusal
from tests.unit.sync.tenant import NOON, TENANT, key, moment

from headwater.sync.delivery.host import lease_name
from headwater.sync.domain.breaker import ACCOUNT, Breakers, BreakerState
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.quota import Ledger, Reserve
from headwater.sync.domain.usage import Usage, WindowUsage
from headwater.sync.store.limits import PostgresLimits
from headwater.sync.v1 import sync_pb2 as pb

pytestmark = pytest.mark.anyio

ORDER: dict[str, Any] = {"tenant_id": TENANT, "connector": "salesforce", "actor": ACTOR}


def broken(failures: int = 5, hold_s: float = 60.0, probe_s: float | None = 30) -> dict[str, Any]:
    """Return a stored breaker of an account."""
    probe_time = None if probe_s is None else moment(probe_s)
    return Breakers(by_key={ACCOUNT: BreakerState(failures, hold_s, probe_time)}).as_json()


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
    await world.insert(
        "connector_state",
        tenant_id=TENANT,
        connector="salesforce",
        breaker=broken(),
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


async def test_a_connector_shows_alert_forecast_and_windows(world: World) -> None:
    """What the actor wrote down of its limits is what operators see, with the time that passed since."""
    books = PostgresLimits(world.pool, TENANT, "salesforce", Lease("connector/t/salesforce", 1))
    await books.take_over(NOON.date())
    hot = Ledger(NOON.date(), calls=12_000, rate_per_s=1.0, rate_time=NOON, refused=2, alert_time=moment(-60))
    held = ((60_000_000_000, 30), (1, 20))
    usage = Usage({"calls/20s/all": WindowUsage(held, 10, 100)})
    await books.write(usage, hot, Reserve(0, 0))

    account = (await connectors(world))["salesforce"]

    assert (account.quota_used, account.quota_limit, account.refused_count) == (12_000, 15_000, 2)
    assert account.quota_alert
    assert account.quota_alert_time.ToDatetime(dt.UTC) == moment(-60)
    assert account.quota_forecast_time.ToDatetime(dt.UTC) == moment(3_000)
    (window,) = account.windows
    assert (window.window, window.limit, window.used, window.window_s) == ("calls/20s/all", 100, 30, 20.0)
    calm = (await connectors(world))["hubspot"]
    assert (calm.quota_alert, calm.HasField("quota_forecast_time")) == (False, False)


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
    was = broken()
    await world.insert("connector_state", tenant_id=TENANT, connector="salesforce", breaker=was)
    for _ in range(2):
        response = await world.stub.ResetBreaker(pb.ResetBreakerRequest(**ORDER))
        assert response.connector.breaker_state == "closed"
    row = await world.pool.fetchrow("select * from sync.connector_state")
    assert row is not None
    assert (row["breaker"], row["breaker_generation"]) == ({}, 1)
    assert await world.audit_actions() == ["breaker_reset"]
    audit = await world.pool.fetchval("select changes from sync.audit")
    assert audit == [{"field": "breaker", "before": was, "after": {}, "rule": "operator"}]


async def test_resetting_a_closed_breaker_changes_nothing(world: World) -> None:
    """A closed breaker without failures has nothing to forget."""
    await world.insert(
        "connector_state", tenant_id=TENANT, connector="salesforce", breaker=Breakers().as_json()
    )
    await world.stub.ResetBreaker(pb.ResetBreakerRequest(**ORDER))
    assert await world.audit_actions() == []
    assert await world.pool.fetchval("select breaker_generation from sync.connector_state") == 0


async def test_a_reset_forgets_failures_of_a_closed_breaker(world: World) -> None:
    """Failures that have not opened the breaker yet are forgotten, too."""
    counted = broken(3, 0.0, None)
    await world.insert("connector_state", tenant_id=TENANT, connector="salesforce", breaker=counted)
    await world.stub.ResetBreaker(pb.ResetBreakerRequest(**ORDER))
    assert await world.audit_actions() == ["breaker_reset"]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("PauseConnector", pb.PauseConnectorRequest(**{**ORDER, "connector": "unknown"})),
        ("ResumeConnector", pb.ResumeConnectorRequest(**{**ORDER, "connector": "unknown"})),
        ("ResetBreaker", pb.ResetBreakerRequest(**{**ORDER, "connector": "unknown"})),
        (
            "StartReplay",
            pb.StartReplayRequest(**{**ORDER, "connector": "unknown"}, rate_per_s=1.0, dry_run=True),
        ),
    ],
)
async def test_an_unknown_connector_is_not_found(world: World, method: str, request_: Any) -> None:
    """An account that the policy does not name cannot be steered, and leaves no trace."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(world.stub, method)(request_)
    assert refusal(caught.value)[:2] == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CONNECTOR")
    assert await world.pool.fetchval("select count(*) from sync.connector_state") == 0


@pytest.mark.parametrize("method", ["pause", "reset"])
async def test_an_order_wakes_the_actors(world: World, method: str) -> None:
    """What changed something notifies the delivery actors as it commits."""
    rung = anyio.Event()
    await world.add_delivery(1, 5)
    await world.insert("connector_state", tenant_id=TENANT, connector="salesforce", breaker=broken())
    calls: dict[str, Any] = {
        "pause": lambda: world.stub.PauseConnector(pb.PauseConnectorRequest(**ORDER)),
        "reset": lambda: world.stub.ResetBreaker(pb.ResetBreakerRequest(**ORDER)),
    }

    def ring(*_: Any) -> None:
        rung.set()

    async with world.pool.acquire() as connection:
        await connection.add_listener("headwater_delivery", ring)
        await calls[method]()
        with anyio.fail_after(5):
            await rung.wait()
        await connection.remove_listener("headwater_delivery", ring)
