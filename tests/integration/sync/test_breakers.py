"""Breakers in Postgres: orders of operators over gRPC, and what the actor makes of them across restarts."""

from __future__ import annotations

from typing import Any

import anyio
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from tests.integration.sync.world import ACTOR, World, refusal
from tests.unit.sync.tenant import NOON, TENANT, moment

from headwater.connectors.base import ErrorClass, VendorError
from headwater.kernel.telemetry import Spans
from headwater.policy.account import Breaker
from headwater.sync.delivery.breaking import AccountBreaker
from headwater.sync.domain.leasing import FenceLost, Lease
from headwater.sync.domain.turns import Wanted
from headwater.sync.store.delivery import PostgresDeliveries
from headwater.sync.v1 import sync_pb2 as pb

pytestmark = pytest.mark.anyio

ACCOUNT: dict[str, Any] = {"tenant_id": TENANT, "connector": "salesforce", "actor": ACTOR}
OPEN, CLOSED, RESET = pb.BREAKER_ORDER_OPEN, pb.BREAKER_ORDER_CLOSED, pb.BREAKER_ORDER_RESET
DOWN = VendorError(ErrorClass.SERVER, "HTTP_503", "down")
POLICY = Breaker(failures=2, hold_s=60)
NOTHING = Wanted(0, {})


class Actor:
    """The breaker of an actor that holds the account's lease."""

    def __init__(self, world: World, fence: int = 1) -> None:
        self.store = PostgresDeliveries(world.pool, TENANT, "salesforce", Lease("connector/crm", fence))
        self.guard = AccountBreaker(
            "salesforce", POLICY, "account", world.clock, Spans.off(), loop_time=lambda: 0.0
        )

    async def turn(self) -> str:
        """Take over what is stored and say what may start."""
        self.guard.take((await self.store.turn((), NOTHING)).state)
        return self.guard.permit("write").calls

    async def fail(self, times: int) -> None:
        """Fail and store, call by call."""
        for _ in range(times):
            self.guard.failed("write", self.guard.now(), DOWN)
            await self.guard.save(self.store)


@pytest.fixture
async def leased(world: World) -> World:
    """A world in which fence 1 holds the account."""
    await world.insert("lease", name="connector/crm", holder="test", fence=1, expire_time=moment(10**9))
    return world


async def ordered(world: World, order: int, **more: Any) -> pb.SetBreakerResponse:
    """Give an order."""
    response: pb.SetBreakerResponse = await world.stub.SetBreaker(
        pb.SetBreakerRequest(**{**ACCOUNT, "order": order, "reason": "drill", **more})
    )
    return response


async def test_an_open_breaker_stays_open_over_a_restart(leased: World) -> None:
    """The successor starts nothing until the hold is over, then probes; its failure holds for longer."""
    first = Actor(leased)
    assert await first.turn() == "all"
    await first.fail(POLICY.failures)
    leased.clock.advance(59)
    assert await Actor(leased).turn() == "none"
    leased.clock.advance(1)
    second = Actor(leased)
    assert await second.turn() == "probe"
    with second.guard.round("write"):
        await second.fail(1)
    leased.clock.advance(119)
    assert await Actor(leased).turn() == "none"
    leased.clock.advance(1)
    assert await Actor(leased).turn() == "probe"


async def test_counted_failures_survive_a_restart(leased: World) -> None:
    """One failure before and one after make two in a row."""
    first = Actor(leased)
    await first.turn()
    await first.fail(1)
    second = Actor(leased)
    await second.turn()
    await second.fail(1)
    assert await second.turn() == "none"


async def test_a_former_owner_stores_nothing(leased: World) -> None:
    """What it saw was before the present owner's calls."""
    late = Actor(leased)
    await late.turn()
    await leased.pool.execute("update sync.lease set fence = 2")
    with pytest.raises(FenceLost):
        await late.fail(1)
    assert await leased.pool.fetchval("select count(*) from sync.connector_state") == 0


async def test_forced_open_stops_the_actor_until_its_time(leased: World) -> None:
    """The next turn of the actor starts nothing; the account says who forced it, why and until when."""
    actor = Actor(leased)
    await actor.turn()
    response = await ordered(leased, OPEN, ttl=Duration(seconds=90))
    account = response.connector
    assert response.changed
    assert (account.breaker_state, account.breaker_forced) == ("open", "open")
    assert (account.breaker_forced_reason, account.breaker_forced_by) == ("drill", ACTOR.id)
    assert account.breaker_forced_until.ToDatetime(NOON.tzinfo) == moment(90)
    assert account.breaker_probe_time == account.breaker_forced_until
    assert await actor.turn() == "none"
    leased.clock.advance(90)
    assert await Actor(leased).turn() == "all"


async def test_forced_closed_ignores_failures_until_the_reset(leased: World) -> None:
    """An open breaker lets all through, failures do not open it; the reset brings the usual rule back."""
    actor = Actor(leased)
    await actor.turn()
    await actor.fail(POLICY.failures)
    assert (await ordered(leased, CLOSED)).connector.breaker_state == "closed"
    assert await actor.turn() == "all"
    await actor.fail(20)
    assert await actor.turn() == "all"
    assert await Actor(leased).turn() == "all"
    assert (await ordered(leased, RESET)).connector.breaker_forced == ""
    assert await actor.turn() == "all"
    await actor.fail(POLICY.failures)
    assert await actor.turn() == "none"


async def test_an_actor_never_overwrites_an_order_it_has_not_seen(leased: World) -> None:
    """Failures counted before the order are stored in vain."""
    actor = Actor(leased)
    await actor.turn()
    await ordered(leased, OPEN)
    await actor.fail(POLICY.failures)
    stored = await leased.pool.fetchval("select breaker from sync.connector_state")
    assert stored == {
        "forced": {"mode": "open", "until": None, "reason": "drill", "actor": ACTOR.id},
    }


async def test_orders_are_audited_once_with_their_reason(leased: World) -> None:
    """The same order again changes nothing; a rehearsal neither."""
    assert (await ordered(leased, OPEN, dry_run=True)).changed
    assert await leased.audit_actions() == []
    assert [(await ordered(leased, OPEN)).changed for _ in range(2)] == [True, False]
    assert not (await ordered(leased, OPEN, dry_run=True)).changed
    assert (await ordered(leased, CLOSED)).changed
    assert (await ordered(leased, RESET, dry_run=True)).changed
    assert [(await ordered(leased, RESET, reason="done")).changed for _ in range(2)] == [True, False]
    assert await leased.audit_actions() == [
        "breaker_forced_open",
        "breaker_forced_closed",
        "breaker_reset",
    ]
    row = await leased.pool.fetchrow("select * from sync.audit order by audit_id limit 1")
    assert row is not None
    assert (row["actor"], row["connector"]) == (ACTOR.id, "salesforce")
    assert [(one["field"], one["after"]) for one in row["changes"]][1] == ("reason", "drill")


async def test_orders_that_race_are_audited_once(leased: World) -> None:
    """The database puts them in a row."""
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ordered, leased, OPEN)
    assert await leased.audit_actions() == ["breaker_forced_open"]


async def test_endpoint_breakers_are_shown_one_by_one(leased: World) -> None:
    """Where a vendor fails by endpoint operators see which one; the account's state is the worst."""
    guard = AccountBreaker("salesforce", POLICY, "endpoint", leased.clock, Spans.off(), loop_time=lambda: 0.0)
    store = Actor(leased).store
    guard.take((await store.turn((), NOTHING)).state)
    guard.failed("search", guard.now(), DOWN)
    for _ in range(POLICY.failures):
        guard.failed("write", guard.now(), DOWN)
    await guard.save(store)
    response = await leased.stub.ListConnectors(pb.ListConnectorsRequest(tenant_id=TENANT))
    account = next(item for item in response.connectors if item.connector == "salesforce")
    assert account.breaker_state == "open"
    assert [(one.key, one.state, one.failure_count, one.hold_s) for one in account.breakers] == [
        ("read", "closed", 1, 0.0),
        ("write", "open", 2, 60.0),
    ]


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({"order": 0}, ["order"]),
        ({"order": 9}, ["order"]),
        ({"reason": ""}, ["reason"]),
        ({"ttl": Duration(seconds=0)}, ["ttl"]),
        ({"ttl": Duration(seconds=31 * 86_400)}, ["ttl"]),
        ({"order": RESET, "ttl": Duration(seconds=5)}, ["ttl"]),
        ({"connector": "", "actor": None}, ["connector", "actor.id"]),
    ],
)
async def test_a_faulty_order_is_refused_with_every_fault(
    world: World, changed: dict[str, Any], fields: list[str]
) -> None:
    """Nothing is done, and the caller learns all that is wrong."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ordered(world, **{"order": OPEN, **changed})
    code, _reason, broken = refusal(caught.value)
    assert (code, broken) == (grpc.StatusCode.INVALID_ARGUMENT, fields)


async def test_an_unknown_connector_cannot_be_forced(world: World) -> None:
    """An account that the policy does not name leaves no trace."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ordered(world, OPEN, connector="unknown")
    assert refusal(caught.value)[:2] == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CONNECTOR")
    assert await world.pool.fetchval("select count(*) from sync.connector_state") == 0
