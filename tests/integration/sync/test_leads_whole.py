"""A lead that is converted in Salesforce: from then on the contact that it became is written to."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.contract.connectors.test_leads import convert
from tests.contract.sandbox.process import SandboxProcess
from tests.integration.sync.test_bulk_whole import ACCOUNT, POLICY, SECRET
from tests.integration.sync.whole import TENANT, doors, event, looking, settled, syncing, until

pytestmark = pytest.mark.anyio

BOTH = (
    "[{target: Lead, external_id: Headwater_Id__c, fields: {Email: {field: email}, LastName: {field: last_name},"
    " Company: {default: unknown}}},"
    " {target: Contact, external_id: Headwater_Id__c, fields: {Email: {field: email}, LastName: {field: last_name}}}]"
)
WITH_LEADS = POLICY[: POLICY.index("contact: [{target")] + f"contact: {BOTH}\n"


def records(sandbox: SandboxProcess, name: str) -> list[dict[str, Any]]:
    """Return the org's records of an object."""
    place = sandbox.admin("salesforce", ACCOUNT, "records")
    found: list[dict[str, Any]] = sandbox.client.get(place, params={"object": name}).json()["records"][name]
    return found


async def test_a_converted_lead_is_followed_to_its_contact(
    migrated_database_url: str, sandbox: SandboxProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next change goes to the contact, claims it by the external id, and makes no second record."""
    monkeypatch.setenv("HEADWATER_SECRET_ORG", SECRET)
    sandbox.token("salesforce", ACCOUNT)
    sandbox.empty("salesforce", ACCOUNT)
    async with doors(migrated_database_url) as inner, looking(migrated_database_url) as look:
        await inner.record(
            [event("headwater", "policy", TENANT, document=WITH_LEADS.replace("${url}", sandbox.url))]
        )
        await inner.record(
            [event("erp", "contact", "p1", 1.0, email="ada@example.org", last_name="Lovelace")]
        )
        async with syncing(migrated_database_url, inner.identity_address):

            async def delivered(versions: int) -> bool:
                held = await look.fetchval("select delivered_version from sync.delivery where state = 2")
                return await settled(look) and held == versions

            await until(partial(delivered, 1))
            [lead] = records(sandbox, "Lead")
            contact_id = convert(sandbox, ACCOUNT, lead["id"])
            await inner.record(
                [event("erp", "contact", "p1", 2.0, email="ada@example.org", last_name="King")]
            )
            await until(partial(delivered, 2))
        [contact] = records(sandbox, "Contact")
        assert contact["id"] == contact_id
        assert contact["fields"]["LastName"] == "King"
        [row] = await look.fetch("select crm_object, crm_id, entity_id from sync.delivery")
        assert (row["crm_object"], row["crm_id"]) == ("Contact", contact_id)
        assert contact["fields"]["Headwater_Id__c"] == str(row["entity_id"])
        assert records(sandbox, "Lead")[0]["fields"]["LastName"] == "Lovelace"
