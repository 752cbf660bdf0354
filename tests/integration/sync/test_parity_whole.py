"""Drift planted in real sandboxes behind Headwater's back: all of it is found, repaired as the policy says, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.drifting import (
    ACTOR,
    LAST_NAME,
    OBJECTS,
    PHONE,
    VENDORS,
    Drifting,
    drifting,
    shown,
)
from tests.integration.sync.whole import TENANT, settled, until

from headwater.sync.v1 import reconciliation_pb2 as pb

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

PEOPLE = 160


@pytest.fixture
async def drifted(migrated_database_url: str, sandbox: SandboxProcess) -> AsyncIterator[Drifting]:
    """Two accounts that agree with Headwater."""
    async with drifting(migrated_database_url, sandbox) as world:
        await world.begin(PEOPLE)
        yield world


@pytest.fixture
async def few(migrated_database_url: str, sandbox: SandboxProcess) -> AsyncIterator[Drifting]:
    """The same with few people."""
    async with drifting(migrated_database_url, sandbox) as world:
        await world.begin(20)
        yield world


async def test_planted_drift_is_found_and_healed_and_nothing_else_is_touched(drifted: Drifting) -> None:
    """Silent edits, missed changes, deletions and creations, with pages that are cut: each found once, by its kind."""
    before = await drifted.daily()
    assert {vendor: report["parity"] for vendor, report in before.items()} == dict.fromkeys(VENDORS, 1.0)
    expected = plant(drifted)
    writes = {vendor: drifted.writes(vendor) for vendor in VENDORS}
    reports = await drifted.daily(whole=True)
    found = {
        vendor: {crm_id: kind for crm_id, (kind, _) in kept.items()}
        for vendor, kept in (await drifted.drift()).items()
    }
    for vendor in VENDORS:
        missed = {one: kind for one, kind in expected[vendor].items() if found[vendor].get(one) != kind}
        wrong = {one: kind for one, kind in found[vendor].items() if expected[vendor].get(one) != kind}
        assert (missed, wrong) == ({}, {}), shown(reports[vendor])
    await drifted.heal()
    await until(lambda: settled(drifted.connection), 30)
    states = {state for kept in (await drifted.drift()).values() for _, state in kept.values()}
    assert states == {"healed"}
    for vendor in VENDORS:
        touched = {item["record_id"] for item in drifted.written(vendor, writes[vendor])}
        spared = touched - set(expected[vendor]) - await made_since(drifted, vendor)
        assert spared == set(), (vendor, spared)
    after = await drifted.daily(whole=True)
    assert {vendor: report["parity"] for vendor, report in after.items()} == dict.fromkeys(VENDORS, 1.0), (
        shown(after)
    )


async def test_what_shows_no_change_is_proven_by_one_call_and_a_dry_run_keeps_nothing(
    few: Drifting,
) -> None:
    """Counts and stamps prove it; a change is read, told and, in a dry run, left as it is."""
    await few.daily()
    calm = await few.daily()
    assert {
        vendor: (one["objects"][OBJECTS[vendor]]["read"], one["calls"]) for vendor, one in calm.items()
    } == dict.fromkeys(VENDORS, (0, 1))
    few.change("salesforce", few.people("salesforce", 1)[:3], LAST_NAME["salesforce"], "Changed")
    dry = (await few.daily(dry_run=True))["salesforce"]
    assert (dry["dry"], dry["objects"]["Contact"]["drift"], await few.drift()) == (
        True, {"field": 3}, {vendor: {} for vendor in VENDORS},
    )  # fmt: skip
    found = (await few.daily())["salesforce"]["objects"]["Contact"]
    assert (found["drift"], len((await few.drift())["salesforce"])) == ({"field": 3}, 3)
    drifts = (
        await few.office.ListDrift(pb.ListDriftRequest(tenant_id=TENANT, page_size=2), timeout=10)
    ).drifts
    assert [(item.connector, item.kind, item.fields[0].field) for item in drifts] == [
        ("salesforce", "field", "LastName")
    ] * 2
    told = await few.office.ListRuns(pb.ListRunsRequest(tenant_id=TENANT, connector="salesforce"), timeout=10)
    assert [item.dry_run for item in told.runs[:4]] == [False, True, False, False]
    assert told.standings[0].open_count == 3
    request = pb.RepairDriftRequest(
        tenant_id=TENANT, connector="salesforce", kind="field", action="recreate", actor=ACTOR
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await few.office.RepairDrift(request, timeout=10)
    assert "redeliver or accept" in str(refused.value.details())


async def made_since(world: Drifting, vendor: str) -> set[str]:
    """Return records that hold entities which were made anew, or that HubSpot told of."""
    rows = await world.connection.fetch(
        "select crm_id from sync.delivery as held where connector = $1 and ("
        " exists (select from sync.former_record as gone where gone.entity_id = held.entity_id)"
        " or not exists (select from sync.record as told where told.entity_id = held.entity_id and source = 'erp')"
        " or exists (select from sync.drift where drift.entity_id = held.entity_id))",
        vendor,
    )
    return {row["crm_id"] for row in rows}


def plant(world: Drifting) -> dict[str, dict[str, str]]:
    """Plant some of everything; return CRM id to kind, by account."""
    expected: dict[str, dict[str, str]] = {vendor: {} for vendor in VENDORS}
    for side, vendor in enumerate(VENDORS):
        ids = world.people(vendor, side)
        silent, changed, deleted = ids[:12], ids[12:24], ids[24:30]
        world.edit_silently(vendor, silent, PHONE[vendor])
        world.change(vendor, changed, LAST_NAME[vendor], "Changed")
        world.delete(vendor, deleted)
        differs = "stale" if vendor == "hubspot" else "field"
        gone = "ended" if vendor == "hubspot" else "missing"
        expected[vendor] |= dict.fromkeys([*silent, *changed], differs) | dict.fromkeys(deleted, gone)
        world.cut_pages(vendor, 2)
    expected["hubspot"] |= dict.fromkeys(world.create(15), "unrecorded")
    return expected
