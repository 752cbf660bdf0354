"""Leads through the real services while sync is killed: each has one owner, turns are even, the CRM holds the owner's id."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.system.tenant import Tenant, event
from tests.system.world import World
from tests.unit.policy.routed import ROUTED

from headwater.policy.loading import policy_digest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

LEADS = 40


def _policy(world: World, tenant: Tenant) -> str:
    """Return the policy of a tenant; the sandbox's HubSpot keeps owners in `message`, and no lost call is waited for."""
    text = ROUTED.replace("${url}/hubspot/acme", f"{world.sandbox_url}/hubspot/{tenant.id}")
    text = text.replace("env:HEADWATER_SECRET_HUBSPOT", f"env:HEADWATER_SECRET_{tenant.id.upper()}")
    text = text.replace("limits: {window", "timeout_s: 1\n    limits: {lost_call_s: 0.1, window")
    return text.replace("hubspot_owner_id: {field: owner}", "message: {field: owner}")


def _leads(first: int, count: int) -> list[object]:
    return [
        event("form", "contact", f"l{number}", number, email=f"l{number}@l{number}.example", country="FR")
        for number in range(first, first + count)
    ]


def test_every_lead_has_one_owner_whatever_is_killed(world: World) -> None:
    """Half before and half around a kill: 20 each for the two of the pool, told once, and written to the CRM."""
    tenant = world.tenant()
    text = _policy(world, tenant)
    applied = event("headwater", "policy", tenant.id, document=text, digest=policy_digest(text))
    applied.request_id = f"policy:{policy_digest(text)}"
    tenant.record_one(applied)
    tenant.wait_until_settled()
    tenant.record(_leads(0, LEADS // 2))  # type: ignore[arg-type]
    world.kill("sync")
    tenant.record(_leads(LEADS // 2, LEADS // 2))  # type: ignore[arg-type]
    world.restart("sync")

    def owned() -> bool:
        query = "select count(*) from sync.assignment where tenant_id = $1 and event_key is not null"
        return bool(world.fetch(query, tenant.id)[0][0] == LEADS)

    world.until(owned, "every lead has an owner that the log was told of", 30)
    tenant.wait_until_settled(20)
    people = world.fetch("select person, number from sync.assignment where tenant_id = $1", tenant.id)
    assert Counter(tuple(row) for row in people) == {("cid", 1): LEADS // 2, ("dag", 1): LEADS // 2}
    query = "select count(*) from ingest.event where tenant_id = $1 and source = 'routing'"
    assert world.fetch(query, tenant.id)[0][0] == LEADS
    written = [one["fields"].get("message") for one in tenant.records("hubspot", "contacts").values()]
    ours = [value for value in written if value in {"73", "74"}]
    assert Counter(ours) == {"73": LEADS // 2, "74": LEADS // 2}
