"""Versions of one entity reach a CRM in their order, however slow it is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from tests.system.tenant import CRM_WRITES, Tenant, event
from tests.system.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

VERSIONS = 10
FIELDS = {"hubspot": "jobtitle", "salesforce": "Title"}
SLOW = {"kind": "latency_ms", "value_ms": 250}


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A contact, then ten versions of it while HubSpot takes its time for every write."""
    made = world.tenant()

    def send(number: int) -> None:
        version = event("erp", "contact", "c-1", number, email="v@person.example", title=f"v{number:02}")
        assert made.record_one(version).disposition == 1

    send(0)
    made.wait_until_settled()
    made.arm("hubspot", {**SLOW, "path": CRM_WRITES["hubspot"]})
    for number in range(1, VERSIONS + 1):
        send(number)
    made.wait_until_settled()
    made.arm("hubspot")
    return made


def _values(tenant: Tenant, vendor: str) -> list[Any]:
    changes = [line["changes"].get(FIELDS[vendor]) for line in tenant.arrivals(vendor)]
    return [change for change in changes if change]


@pytest.mark.parametrize("vendor", list(FIELDS))
def test_effective_values_never_go_back(tenant: Tenant, vendor: str) -> None:
    """Each effective write starts from the value of the one before and brings a newer one; the last is the newest."""
    changes = _values(tenant, vendor)
    assert changes[0] == [None, "v00"]
    assert all(after[0] == before[1] < after[1] for before, after in pairwise(changes))
    assert changes[-1][1] == f"v{VERSIONS:02}"


def test_many_changes_become_few_writes_while_a_crm_is_slow(
    tenant: Tenant, record_property: Callable[[str, object], None]
) -> None:
    """Versions that were overtaken while a write was under way are not written one by one."""
    writes = len(_values(tenant, "hubspot")) - 1
    record_property("writes_for_10_versions", writes)
    assert 1 <= writes < VERSIONS
