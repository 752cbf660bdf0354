"""Entities that end: deleted, merged, split again. No CRM record is ever deleted; it is marked."""

from __future__ import annotations

from typing import Any

import pytest
from tests.system.tenant import ACTOR, Tenant, event
from tests.system.world import World

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

SHOWN = ("email", "jobtitle", "headwater_status", "headwater_merged_into")


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant with empty CRMs."""
    return world.tenant()


def _shown(tenant: Tenant, entity_id: str) -> dict[str, Any]:
    """What HubSpot shows of an entity's record, its empty fields left out."""
    (record,) = [
        one["fields"]
        for one in tenant.records("hubspot", "contacts").values()
        if one["fields"]["headwater_id"] == entity_id
    ]
    return {name: record[name] for name in SHOWN if record.get(name)}


def _status(tenant: Tenant, entity_id: str) -> Any:
    (record,) = [
        one["fields"]
        for one in tenant.records("salesforce", "Contact").values()
        if one["fields"]["Headwater_Id__c"] == entity_id
    ]
    return record.get("Headwater_Status__c") or None


def test_a_deleted_record_stays_in_the_crms_and_is_marked(tenant: Tenant) -> None:
    """The contact keeps its values and says that its source has deleted it."""
    item = event("erp", "contact", "gone", email="gone@person.example", title="Clerk")
    entity_id = _recorded(tenant, item)
    ended = event("erp", "contact", "gone", 60)
    ended.operation, ended.payload = event_pb2.OPERATION_DELETE, b""
    tenant.record_one(ended)
    tenant.wait_until_settled()
    assert tenant.entity(entity_id).state == "deleted"
    shown = {"email": "gone@person.example", "jobtitle": "Clerk", "headwater_status": "deleted"}
    assert _shown(tenant, entity_id) == shown
    assert _status(tenant, entity_id) == "deleted"


def test_a_merge_marks_the_loser_and_a_split_takes_everything_back(tenant: Tenant) -> None:
    """Merged, the loser's record points to the winner, which has gained its values; split, all is as it was."""
    left = _recorded(tenant, event("erp", "contact", "m-1", email="left@person.example"))
    right = _recorded(tenant, event("shop", "contact", "m-2", 1, email="right@person.example", title="Clerk"))
    before = {entity: _shown(tenant, entity) for entity in (left, right)}
    merge = identity_pb2.MergeRequest(
        tenant_id=tenant.id, winner_entity_id=left, loser_entity_id=right, actor=ACTOR
    )
    merged = tenant.world.identity.Merge(merge, timeout=20)
    tenant.wait_until_settled()
    assert tenant.entity(right).merged_into == left
    assert _shown(tenant, left) == {"email": "left@person.example", "jobtitle": "Clerk"}
    assert _shown(tenant, right) == {
        **before[right], "headwater_status": "merged", "headwater_merged_into": left,
    }  # fmt: skip
    assert _status(tenant, right) == "merged"
    split = identity_pb2.SplitRequest(tenant_id=tenant.id, merge_id=merged.merge_id, actor=ACTOR)
    tenant.world.identity.Split(split, timeout=20)
    tenant.wait_until_settled()
    assert {entity: _shown(tenant, entity) for entity in (left, right)} == before
    assert _status(tenant, right) is None


def _recorded(tenant: Tenant, item: event_pb2.Event) -> str:
    """Record one event, settle, and return its entity."""
    key = tenant.record_one(item).event_key
    tenant.wait_until_settled()
    return tenant.entity_of(key)
