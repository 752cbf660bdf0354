"""A write whose answer never came is looked up, and not done twice."""

from __future__ import annotations

import pytest
from tests.system.policies import RETRY
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
    told = [entry for entry in tenant.audit(entity_id=entity_id) if entry.connector == vendor]
    assert [entry.action for entry in told] == ["looked_up"]
    assert f'"{name}@person.example"' in {change.after_json for change in told[0].changes}


def test_what_went_without_a_record_in_doubt_is_linked_to_it_later(world: World) -> None:
    """A deal that did not wait for its account gets it once the look-up has found the account."""
    tenant = world.tenant(timeout_s=1.0, retry={**RETRY, "reference_wait_s": 0})
    lost = {"kind": "commit_then_hang", "count": 1, "path": "POST /crm/v3/objects/companies/batch/upsert"}
    tenant.arm("hubspot", lost)
    deal = event("erp", "deal", "d-1", name="Looms", stage="Prospecting", account="a-1")
    tenant.record([event("erp", "account", "a-1", name="Mills"), deal])
    tenant.wait_until_settled()
    assert tenant.faults_fired("hubspot") == 1
    (company,) = tenant.records("hubspot", "companies")
    (written,) = tenant.records("hubspot", "deals").values()
    assert [link["to_id"] for link in written["associations"]] == [company]
