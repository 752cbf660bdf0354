"""A record that breaks the contract waits for a person, then goes the whole way."""

from __future__ import annotations

import json

import pytest
from tests.system.tenant import ACTOR, Tenant, event
from tests.system.world import World

from headwater.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture
def tenant(world: World) -> Tenant:
    """A tenant with empty CRMs."""
    return world.tenant()


def test_a_released_record_is_delivered_with_its_corrected_payload(tenant: Tenant) -> None:
    """Quarantined and listed, it reaches no CRM; released with a correction, both."""
    outcome = tenant.record_one(event("erp", "contact", "c-1", email="no address", first_name="Bo"))
    assert outcome.disposition == ingest_pb2.DISPOSITION_QUARANTINED
    assert "format.email" in {item.rule for item in outcome.violations}
    witness = tenant.record_one(event("erp", "contact", "c-2", email="witness@person.example"))
    tenant.wait_until_settled()
    assert tenant.fate(witness.event_key).projection == "projected"
    assert [one["fields"]["email"] for one in tenant.records("hubspot", "contacts").values()] == [
        "witness@person.example"
    ]
    ingest = tenant.world.ingest
    listed = ingest.ListQuarantine(ingest_pb2.ListQuarantineRequest(tenant_id=tenant.id)).events
    assert [item.event.event_key for item in listed] == [outcome.event_key]
    correction = json.dumps({"email": "bo@person.example", "first_name": "Bo"}).encode()
    released = ingest.ReleaseQuarantined(
        ingest_pb2.ReleaseQuarantinedRequest(
            tenant_id=tenant.id, event_key=outcome.event_key, payload=correction, actor=ACTOR
        )
    )
    tenant.wait_until_settled()
    entity_id = tenant.entity_of(released.released_as)
    for vendor, kind, field, key in (
        ("hubspot", "contacts", "email", "headwater_id"),
        ("salesforce", "Contact", "Email", "Headwater_Id__c"),
    ):
        held = {one["fields"][key]: one["fields"][field] for one in tenant.records(vendor, kind).values()}
        assert held[entity_id] == "bo@person.example"
