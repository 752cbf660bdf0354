"""Scopes from end to end: what may not leave does not reach the CRM, what may not be read reaches no table."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync import test_two_way as ground
from tests.integration.sync.test_two_way import NAMES, VENDORS, TwoWay, two_way
from tests.integration.sync.whole import TENANT, event, until

from headwater.sync.v1 import schedules_pb2

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]
sandbox = ground.sandbox

TITLES: Final = {"hubspot": "jobtitle", "salesforce": "Title"}
SCOPES: Final = """\
    scopes: {objects: {contact: {fields: {first_name: [read, write_if_empty], phone: write}}}}
    objects:
"""
SCOPED: Final = (
    ground.SYSTEMS.replace("phone: phone}}}}\n  crm:", "phone: phone, title: title}}}}\n  crm:")
    .replace(", PHONE: phone}}}}", "}}}}")
    .replace("phone: {type: phone, owners: [erp, crm], rule: source_priority}}}",
        "phone: {type: phone, owners: [erp], rule: source_priority, class: personal},\n"
        "    title: {type: text, owners: [erp], rule: source_priority, class: secret}}}")
    .replace("PHONE: {field: phone}}}]", "PHONE: {field: phone, conflict: overwrite}, TITLE: {field: title, conflict: overwrite}}}]")
    .replace("    objects:\n", SCOPES)
)  # fmt: skip
OUT: Final = (
    SCOPED.replace("direction: two_way, conflict: policy, ", "")
    .replace(", conflict: overwrite", "")
    .replace("poll: {every_s: 3600, overlap_s: 5}", "poll: {every_s: 3600, overlap_s: 5, objects: [contact]}")
    .replace("phone: write}", "phone: write, last_name: write_if_empty}")
    .replace(", LAST: last_name", "")
    .replace("last_name: {type: text, owners: [crm, erp]", "last_name: {type: text, owners: [erp]")
)
ADA: Final = {**ground.ADA, "title": "canary-title"}
GRACE: Final = {**ground.GRACE, "title": "canary-title"}
UNREADABLE: Final = "+49 30 7777777"
"""A phone number that only the CRM has; no scope lets it be read."""


def spelled(vendor: str, text: str) -> str:
    """Return a policy in the words of a vendor, all but those of `policy_of`."""
    return text.replace("TITLE", TITLES[vendor])


async def everywhere(tenant: TwoWay) -> str:
    """Return all that the tables hold of records, entities, deliveries, their audit, and of what the CRM told."""
    tables = {"record": "fields", "entity": "fields", "delivery": "known", "attempt": "error_message"}
    held: list[Any] = [
        [row[0] for row in await tenant.connection.fetch(f"select {column}::text from sync.{name}")]  # noqa: S608
        for name, column in tables.items()
    ]
    log = "select convert_from(payload, 'UTF8') from ingest.event where source = 'crm'"
    told = [row[0] for row in await tenant.connection.fetch(log)]
    return json.dumps([held, told], default=str)


def records_of(tenant: TwoWay) -> dict[str, dict[str, Any]]:
    """Return the CRM's records by e-mail address."""
    email = tenant.names[0]
    return {str(item[email]): item for item in tenant.in_crm()}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_nothing_passes_a_scope_either_way(
    vendor: str, migrated_database_url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret never leaves, a number that is only written is never read, a first name is only filled in."""
    monkeypatch.setattr(ground, "SYSTEMS", spelled(vendor, SCOPED))
    async with two_way(vendor, migrated_database_url, sandbox) as tenant:
        email, first, last, phone = tenant.names
        made = tenant.person_makes(
            **{email: GRACE["email"], first: "Gracie", last: "Hopper", phone: UNREADABLE}
        )
        await tenant.world.record([event("erp", "contact", "c-1", **ADA)])
        await tenant.settle()
        await until(lambda: _told(tenant), 20)
        ada = records_of(tenant)[ADA["email"]]
        assert (ada[first], ada[last], bool(ada[phone])) == ("Ada", "Byron", True)
        await tenant.world.record([event("erp", "contact", "c-2", 60.0, **GRACE)])
        await tenant.settle()
        grace = records_of(tenant)[GRACE["email"]]
        assert (grace["id"], grace[first]) == (made, "Gracie")
        assert "5550100" in str(grace[phone])
        await tenant.world.record([event("erp", "contact", "c-1", 90.0, **{**ADA, "first_name": "Augusta"})])
        await tenant.settle()
        assert records_of(tenant)[ADA["email"]][first] == "Ada"
        url = tenant.sandbox.admin(vendor, TENANT, "records")
        told = tenant.sandbox.client.get(url, params={"object": NAMES[vendor][0]}).text
        assert "canary-title" not in told
        held = await everywhere(tenant)
        assert "7777777" not in held
        crms = await tenant.connection.fetch("select known::text from sync.delivery")
        assert "canary-title" not in json.dumps([row[0] for row in crms])
        await reviewed(tenant)


async def reviewed(tenant: TwoWay) -> None:
    """Have the account reviewed: what is old is told, and the secret, and of HubSpot the grant that is too wide."""
    name = "reconcile/quarterly/crm"
    order = schedules_pb2.RunScheduleRequest(tenant_id=TENANT, name=name, actor=ground.ACTOR)
    await tenant.schedules.RunSchedule(order, timeout=10)

    async def done() -> bool:
        found = await tenant.connection.fetchval(
            "select count(*) from sync.parity_run where job = 'quarterly'"
        )
        return bool(found)

    await until(done, 20)
    report = await tenant.connection.fetchval("select report from sync.parity_run where job = 'quarterly'")
    wide = ["wider grant"] if tenant.vendor == "hubspot" else []
    told = [item for item in report["findings"] if item["what"] != "unused"]
    assert [item["what"] for item in told] == ["not written", *wide]
    old = {item["detail"].partition(":")[0] for item in report["findings"] if item["what"] == "unused"}
    assert old == {"contact.email", "contact.phone"}  # of January, by the only source that counts
    assert report["grant"]["missing"] == []
    assert {(item["way"], item["field"]) for item in report["mapped"] if item["records"] == 2} == {
        ("write", "email"), ("write", "first_name"), ("write", "last_name"), ("write", "phone"),
    }  # fmt: skip


async def _told(tenant: TwoWay) -> bool:
    await tenant.poll()
    return bool(await tenant.connection.fetchval("select count(*) from sync.record where source = 'crm'"))


async def test_a_record_that_is_taken_over_keeps_what_it_holds(
    migrated_database_url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last name is never read by a poll; whether it is empty is asked by the CRM's id before anything is written."""
    monkeypatch.setattr(ground, "SYSTEMS", spelled("hubspot", OUT))
    async with two_way("hubspot", migrated_database_url, sandbox) as tenant:
        email, _first, last, _phone = tenant.names
        full = tenant.person_makes(**{email: GRACE["email"], last: "Murray"})
        bare = tenant.person_makes(**{email: ADA["email"]})
        await tenant.world.record(
            [event("erp", "contact", "c-1", **ADA), event("erp", "contact", "c-2", **GRACE)]
        )
        await tenant.settle()
        found = records_of(tenant)
        assert (found[GRACE["email"]]["id"], found[GRACE["email"]][last]) == (full, "Murray")
        assert (found[ADA["email"]]["id"], found[ADA["email"]][last]) == (bare, "Byron")
        assert "Murray" not in await everywhere(tenant)
        notes = "select last_error from sync.delivery where last_error like 'scope:%'"
        assert [row[0] for row in await tenant.connection.fetch(notes)] == [
            "scope: lastname is written only into an empty field, and holds a value"
        ]
