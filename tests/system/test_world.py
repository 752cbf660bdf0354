"""The world itself: processes that are killed come back to the same place and go on where they were."""

from __future__ import annotations

import pytest
from tests.system.tenant import event
from tests.system.world import World

from headwater.sync.v1 import sync_pb2

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

CONTACTS = 150


@pytest.mark.parametrize("name", ["sync", "identity", "ingest"])
def test_a_killed_process_goes_on_where_it_was(world: World, name: str) -> None:
    """Killed right after the events were acknowledged, every one is in both CRMs, created there once."""
    tenant = world.tenant()
    before = world.children[name].pid
    people = [event("erp", "contact", f"c-{n}", email=f"n{n}@person.example") for n in range(CONTACTS)]
    assert {item.disposition for item in tenant.record(people)} == {1}
    world.kill(name)
    world.restart(name)
    assert world.children[name].pid != before
    tenant.wait_until_settled(30)
    assert {item.state for item in tenant.deliveries()} == {sync_pb2.DELIVERY_STATE_DELIVERED}
    for vendor in ("hubspot", "salesforce"):
        effects = [line["effect"] for line in tenant.arrivals(vendor) if line["effect"] != "unchanged"]
        assert effects == ["created"] * CONTACTS
