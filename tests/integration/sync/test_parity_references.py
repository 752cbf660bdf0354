"""Whom a record of a CRM refers to is compared, too, where its fields show it, and is brought about again."""

from __future__ import annotations

from typing import Final

import pytest
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.drifting import POLICY, drifting
from tests.integration.sync.whole import event, settled, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]

REFERRING: Final = (
    POLICY.replace(
        "phone: phone}}}}\n  hub:",
        "phone: phone, company: account}}, account: {fields: {name: name}}}}\n  hub:",
    )
    .replace(
        "phone: {type: phone, owners: [erp, hub], rule: source_priority}}}",
        "phone: {type: phone, owners: [erp, hub], rule: source_priority},\n"
        "    account: {type: reference, reference: account, owners: [erp], rule: most_recent}}}\n"
        "  account: {fields: {name: {type: text, owners: [erp], rule: most_recent}}}",
    )
    .replace(
        "Phone: {field: phone}}}]",
        "Phone: {field: phone}}, references: {AccountId: account}}]\n"
        "      account: [{target: Account, external_id: Headwater_Id__c, fields: {Name: {field: name}}}]",
    )
    .replace("critical: {contact: {}}", "critical: {contact: {}, account: {}}")
)
"""Contacts of the ERP name their company; Salesforce is told, HubSpot is not."""
PEOPLE: Final = 3


async def test_a_reference_that_a_crm_changed_is_found_and_brought_about_again(
    migrated_database_url: str, sandbox: SandboxProcess
) -> None:
    """One that points to another record and one that points nowhere; the third person is not touched."""
    async with drifting(migrated_database_url, sandbox) as world:
        await world.begin(PEOPLE, policy=REFERRING)
        await world.world.record(
            [
                *(event("erp", "account", f"a-{number}", 10, name=f"Firm {number}") for number in (1, 2)),
                *(event("erp", "contact", str(number), 20, company="a-1") for number in range(1, PEOPLE + 1)),
            ]
        )
        await until(lambda: settled(world.connection), 30)
        before = {one: fields["AccountId"] for one, fields in world.records("salesforce").items()}
        assert len(set(before.values())) == 1
        own = next(iter(before.values()))
        [other] = [
            row["crm_id"]
            for row in await world.connection.fetch(
                "select crm_id from sync.delivery where connector = 'salesforce' and object = 'account' and crm_id <> $1",
                own,
            )
        ]
        assert (await world.daily())["salesforce"]["parity"] == 1.0
        elsewhere, nowhere, _ = sorted(before)
        for crm_id, value in ((elsewhere, other), (nowhere, None)):
            edit = {"object": "Contact", "id": crm_id, "fields": {"AccountId": value}}
            url = sandbox.admin("salesforce", "acme", "edits")
            sandbox.client.post(url, json={"edits": [edit]}).raise_for_status()
        writes = world.writes("salesforce")

        async def found() -> bool:  # what was settled a moment ago is not compared yet
            await world.run("reconcile/daily/salesforce", whole=True)
            return bool(await world.connection.fetchval("select count(*) from sync.drift"))

        await until(found, 30)
        rows = await world.connection.fetch("select crm_id, kind, fields from sync.drift order by crm_id")
        assert [(row["crm_id"], row["kind"]) for row in rows] == [(elsewhere, "field"), (nowhere, "field")]
        assert [row["fields"] for row in rows] == [
            [{"field": "AccountId", "expected": own, "found": found}] for found in (other, None)
        ]
        await world.heal()
        await until(lambda: settled(world.connection), 30)
        assert {one: fields["AccountId"] for one, fields in world.records("salesforce").items()} == before
        assert {item["record_id"] for item in world.written("salesforce", writes)} == {elsewhere, nowhere}
        assert {state for _, state in (await world.drift())["salesforce"].values()} == {"healed"}
