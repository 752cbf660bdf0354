"""A write whose answer never came is looked up, and not done twice."""

from __future__ import annotations

import pytest
from tests.system.tenant import CRM_WRITES, Tenant, event
from tests.system.world import World

from headwater.sync.v1 import sync_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

KINDS = {"hubspot": "contacts", "salesforce": "Contact"}


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant that waits one second for an answer."""
    return world.tenant(timeout_s=1.0)


@pytest.mark.parametrize("vendor", list(KINDS))
@pytest.mark.parametrize("fault", ["commit_then_hang", "commit_then_reset"])
def test_a_write_in_doubt_is_looked_up_and_settled_without_a_second_one(
    tenant: Tenant, vendor: str, fault: str
) -> None:
    """The CRM committed and said nothing: one effective write, in doubt first, then looked up."""
    tenant.arm(vendor, {"kind": fault, "count": 1, "path": CRM_WRITES[vendor]})
    name = f"{fault}-{vendor}".replace("_", "-")
    outcome = tenant.record_one(
        event("erp", "contact", name, email=f"{name}@person.example", last_name="Doe")
    )
    tenant.wait_until_settled()
    assert tenant.faults_fired(vendor) == 1
    entity_id = tenant.entity_of(outcome.event_key)
    attempts = [item for item in tenant.fate(outcome.event_key).attempts if item.connector == vendor]
    assert [item.outcome for item in attempts] == ["in_doubt", "looked_up"]
    effects = [line["effect"] for line in tenant.arrivals(vendor) if line["external_id"] == entity_id]
    assert effects == ["created"]
    (delivery,) = [
        item for item in tenant.deliveries() if (item.connector, item.entity_id) == (vendor, entity_id)
    ]
    assert delivery.state == sync_pb2.DELIVERY_STATE_DELIVERED
    assert delivery.crm_id in tenant.records(vendor, KINDS[vendor])
