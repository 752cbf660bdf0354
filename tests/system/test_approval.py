"""A write that a person has to approve waits in the open, holds up nobody, and goes out as it was seen."""

from __future__ import annotations

import grpc
import pytest
from tests.system.tenant import ACTOR, Tenant, event
from tests.system.world import World

from headwater.sync.v1 import approvals_pb2 as pb
from headwater.sync.v1 import sync_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

CAREFUL = {"new_people": {"accounts": ["hubspot"], "objects": ["contact"], "kinds": ["create"]}}


def waiting(tenant: Tenant) -> list[pb.Approval]:
    """Return what waits for a person."""
    request = pb.ListApprovalsRequest(tenant_id=tenant.id)
    return list(tenant.world.approvals.ListApprovals(request).approvals)


def decide(tenant: Tenant, approval_id: str) -> pb.DecideApprovalsResponse:
    """Approve one."""
    request = pb.DecideApprovalsRequest(
        tenant_id=tenant.id, filter=pb.ApprovalFilter(approval_ids=[approval_id]),
        decision=pb.APPROVAL_STATE_APPROVED, actor=ACTOR,
    )  # fmt: skip
    found: pb.DecideApprovalsResponse = tenant.world.approvals.DecideApprovals(request)
    return found


def test_a_create_waits_for_its_approval_and_goes_as_it_was_seen(world: World) -> None:
    """The other CRM has it at once; what changes meanwhile is asked anew; then updates need nobody."""
    tenant = world.tenant(approval=CAREFUL)
    tenant.record([event("erp", "contact", "c-1", email="ann@person.example", title="Clerk")])
    world.until(lambda: len(waiting(tenant)) == 1, "somebody is asked about the create")
    tenant.wait_until_settled(20, "salesforce")
    (first,) = waiting(tenant)
    assert (first.connector, first.kind, first.rule) == ("hubspot", "create", "new_people")
    states = {item.connector: item.state for item in tenant.deliveries()}
    held, delivered = sync_pb2.DELIVERY_STATE_HELD, sync_pb2.DELIVERY_STATE_DELIVERED
    assert states == {"hubspot": held, "salesforce": delivered}
    assert tenant.records("hubspot", "contacts") == {}

    tenant.record([event("erp", "contact", "c-1", 60, email="ann@person.example", title="Director")])
    world.until(
        lambda: [item.approval_id for item in waiting(tenant)] not in ([], [first.approval_id]), "asked anew"
    )
    with pytest.raises(grpc.RpcError, match="nothing is asked as"):
        decide(tenant, first.approval_id)
    assert tenant.records("hubspot", "contacts") == {}
    (again,) = waiting(tenant)
    assert decide(tenant, again.approval_id).decided_count == 1
    tenant.wait_until_settled(20, "hubspot")
    (record,) = tenant.records("hubspot", "contacts").values()
    assert record["fields"]["jobtitle"] == "Director"

    tenant.record([event("erp", "contact", "c-1", 120, email="ann@person.example", title="Partner")])
    tenant.wait_until_settled(20, "hubspot")
    (record,) = tenant.records("hubspot", "contacts").values()
    assert (record["fields"]["jobtitle"], waiting(tenant)) == ("Partner", [])
    told = [(item.action, item.actor) for item in tenant.audit() if item.action.startswith("approval_")]
    assert sorted(told) == [
        ("approval_asked", "sync"),
        ("approval_asked", "sync"),
        ("approval_granted", ACTOR.id),
    ]
