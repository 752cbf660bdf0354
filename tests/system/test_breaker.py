"""One CRM that is down is left alone, the other is not touched by it, and nothing is lost."""

from __future__ import annotations

import pytest
from tests.system.tenant import ACTOR, CRM_WRITES, Tenant, event
from tests.system.world import World

from headwater.event.v1 import event_pb2
from headwater.sync.v1 import sync_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

FAILURES = 5
DOWN = {"kind": "error_5xx", "path": CRM_WRITES["hubspot"]}
LATER = 20


def _contacts(first: int, count: int) -> list[event_pb2.Event]:
    numbers = range(first, first + count)
    return [event("erp", "contact", f"c-{n}", email=f"n{n}@person.example", title="Clerk") for n in numbers]


def _wait_until_open(tenant: Tenant) -> None:
    tenant.world.until(
        lambda: tenant.connectors()["hubspot"].breaker_state == "open", "HubSpot's breaker is open"
    )


@pytest.fixture
def broken(world: World) -> Tenant:
    """A tenant whose HubSpot answers every write with an error, its breaker open for a long time."""
    tenant = world.tenant(breaker={"failures": FAILURES, "hold_s": 600})
    tenant.arm("hubspot", DOWN)
    tenant.record(_contacts(0, 1))
    _wait_until_open(tenant)
    return tenant


def test_an_open_breaker_stops_calls_to_its_account_alone(broken: Tenant) -> None:
    """It opens at the fifth failure; then no call arrives, while the other CRM gets everything."""
    calls = broken.calls("hubspot")
    assert broken.faults_fired("hubspot") == FAILURES
    broken.record(_contacts(1, LATER))
    broken.wait_until_settled(20, "salesforce")
    assert len(broken.records("salesforce", "Contact")) == LATER + 1
    assert broken.calls("hubspot")["calls"] == calls["calls"]
    connectors = broken.connectors()
    assert (connectors["hubspot"].breaker_state, connectors["hubspot"].pending_count) == ("open", LATER + 1)
    assert (connectors["salesforce"].breaker_state, connectors["salesforce"].pending_count) == ("closed", 0)


def test_a_reset_closes_the_breaker_and_everything_is_delivered(broken: Tenant) -> None:
    """Once the fault is gone, an operator's reset lets everything through that waited."""
    broken.record(_contacts(1, LATER))
    broken.arm("hubspot")
    request = sync_pb2.ResetBreakerRequest(tenant_id=broken.id, connector="hubspot", actor=ACTOR)
    answer = broken.world.sync.ResetBreaker(request)
    assert answer.connector.breaker_state == "closed"
    broken.wait_until_settled()
    assert {item.state for item in broken.deliveries()} == {sync_pb2.DELIVERY_STATE_DELIVERED}
    assert len(broken.records("hubspot", "contacts")) == LATER + 1
    (entry,) = [item for item in broken.audit() if "breaker" in item.action]
    assert (entry.connector, ACTOR.id in entry.actor) == ("hubspot", True)


def test_a_probe_closes_the_breaker_by_itself(world: World) -> None:
    """After its hold a half-open breaker lets one call through; its success lets the rest follow."""
    tenant = world.tenant(breaker={"failures": FAILURES, "hold_s": 0.5})
    tenant.arm("hubspot", DOWN)
    tenant.record(_contacts(0, 3))
    _wait_until_open(tenant)
    tenant.arm("hubspot")
    tenant.wait_until_settled()
    assert tenant.connectors()["hubspot"].breaker_state == "closed"
    assert {item.state for item in tenant.deliveries()} == {sync_pb2.DELIVERY_STATE_DELIVERED}
    assert len(tenant.records("hubspot", "contacts")) == 3
