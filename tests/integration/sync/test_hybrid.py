"""Webhook and poll together: what a webhook points at is fetched whole, and both tell one event."""

from __future__ import annotations

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.backfilled import NAMES, Tenant, tenant
from tests.integration.sync.test_two_way import VENDORS, sandbox
from tests.integration.sync.whole import TENANT, event, until

from headwater.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]
__all__ = ["sandbox"]

EVENTS = "select count(*) from ingest.event where source = 'crm' and position('headwater_fetch' in convert_from(payload, 'UTF8')) = 0"
LEFT = "select count(*) from sync.record_fetch"


async def point(acme: Tenant, *crm_ids: str, number: int = 0) -> None:
    """Let a webhook say that records changed."""
    events = [event("crm", "contact", crm_id, number, headwater_fetch=True) for crm_id in crm_ids]
    outcomes = await acme.world.record(events)
    assert {item.disposition for item in outcomes} == {ingest_pb2.DISPOSITION_ACCEPTED}


async def read(acme: Tenant) -> None:
    """Wait until every pointer is projected and everything that they point at is read and projected."""

    async def through() -> bool:
        waiting = await acme.connection.fetchval(
            "select count(*) from ingest.event as log where disposition = 1 and not exists (select from sync.projection"
            " as done where done.tenant_id = log.tenant_id and done.event_key = log.event_key)"
        )
        return bool(waiting == 0 and await acme.connection.fetchval(LEFT) == 0)

    await until(through, 20)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_webhook_and_poll_tell_one_event_and_deletions_are_read(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Two webhooks of one change, a poll after them, one missed webhook, one deletion, one id that never was."""
    async with tenant(vendor, migrated_database_url, sandbox) as acme:
        ids = acme.make(range(3))
        await point(acme, ids[0], ids[1])
        await point(acme, ids[0], number=1)
        await read(acme)
        assert set(await acme.held()) == {ids[0], ids[1]}
        assert await acme.connection.fetchval(EVENTS) == 2

        async def caught_up() -> bool:  # Salesforce's newest second waits until it is over
            await acme.poll()
            return await acme.held() == acme.in_crm()

        await until(caught_up, 20)
        assert await acme.connection.fetchval(EVENTS) == 3
        last = NAMES[vendor][2]
        acme.change(ids[2], **{last: "Newer"})
        delete(acme, ids[1])
        await point(acme, *ids[1:], "00300000000000AAA" if vendor == "salesforce" else "999999", number=2)
        await read(acme)
        assert (await acme.held())[ids[2]] == "Newer"
        gone = await acme.connection.fetch("select external_id from sync.record where deleted")
        assert [row["external_id"] for row in gone] == [ids[1]]
        await acme.poll()
        await read(acme)
        assert await acme.connection.fetchval(EVENTS) == 5


async def test_a_pointer_that_nobody_can_follow_is_refused(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """No account reads that object of that source: the error names what to change."""
    async with tenant("hubspot", migrated_database_url, sandbox) as acme:
        (outcome,) = await acme.world.record([event("desk", "contact", "1", headwater_fetch=True)])
        assert outcome.reason == "CONTRACT_BROKEN"
        assert "no enabled connector account of desk reads contact" in outcome.violations[0].description


async def test_an_outage_leaves_what_was_pointed_at_to_be_read_later(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """It stays due, with what was wrong, until the CRM answers."""
    async with tenant("hubspot", migrated_database_url, sandbox) as acme:
        ids = acme.make(range(2))
        sandbox.faults("hubspot", TENANT, {"kind": "error_5xx", "count": 1, "status": 503})
        await point(acme, *ids)

        async def told() -> bool:
            rows = await acme.connection.fetch("select finding from sync.record_fetch")
            return any("server" in row["finding"] for row in rows)

        await until(told, 20)
        await read(acme)
        assert await acme.held() == acme.in_crm()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_is_not_listed_any_more_is_asked_for_before_it_counts_as_deleted(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """Of all that we hold, the one that is gone without a trace is asked for, found absent, and deleted; no other is."""
    async with tenant(vendor, migrated_database_url, sandbox) as acme:
        ids = acme.make(range(60))
        await acme.ended(await acme.begin())
        never = "003550000999999AAA" if vendor == "salesforce" else "999999"
        mail, first, last = NAMES[vendor]
        stated = {mail: "gone@many.example.com", first: "Gone", last: "Gone"}
        await acme.world.record([event("crm", "contact", never, 5, **stated)])  # as if it had been there once
        done = await acme.ended(await acme.begin(absences=True))
        assert (done.finding, done.parts[0].absent_count) == ("", 1)
        await read(acme)
        gone = await acme.connection.fetch("select external_id from sync.record where deleted")
        assert [row["external_id"] for row in gone] == [never]
        assert set(acme.in_crm()) == set(ids)
        assert await acme.connection.fetchval("select count(*) from sync.backfill_listed") == 0


def delete(acme: Tenant, crm_id: str) -> None:
    """Let a person delete a record in the CRM."""
    path = {"hubspot": "/crm/v3/objects/contacts", "salesforce": "/services/data/v61.0/sobjects/Contact"}
    with acme.sandbox.session(acme.vendor, TENANT) as session:
        session.delete(f"{path[acme.vendor]}/{crm_id}").raise_for_status()
