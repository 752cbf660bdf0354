"""Both vendors through the conformance suite, against the running sandbox."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.contract.connectors.conformance import ConnectorConformance
from tests.contract.connectors.lab import HANG_TIMEOUT_S, Lab, Subject, open_lab
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import Target, Vendor, Write, Written, load_vendor
from headwater.connectors.hubspot import VENDOR as HUBSPOT
from headwater.connectors.salesforce import VENDOR as SALESFORCE

pytestmark = [pytest.mark.anyio, pytest.mark.enable_socket, pytest.mark.slow]

_NUMBERS = itertools.count(1)

HUBSPOT_SUBJECT = Subject(
    vendor=HUBSPOT,
    person=Target("contact", "contacts", "headwater_id", ("email", "firstname", "address"), ("companies",)),
    company=Target("account", "companies", "headwater_id", ("name",)),
    email="email",
    name="firstname",
    text="address",
    link="companies",
    company_fields={"name": "Acme"},
    writes_path="POST /crm/v3/objects/contacts/batch/(upsert|update)",
    new_path="/crm/v3/objects/contacts",
    delete_path="/crm/v3/objects/contacts",
    missing_id="999999999999",
    wraps=True,
)
SALESFORCE_SUBJECT = Subject(
    vendor=SALESFORCE,
    person=Target(
        "contact", "Contact", "Headwater_Id__c", ("Email", "LastName", "Description"), ("AccountId",)
    ),
    company=Target("account", "Account", "Headwater_Id__c", ("Name",)),
    email="Email",
    name="LastName",
    text="Description",
    link="AccountId",
    company_fields={"Name": "Acme"},
    writes_path="PATCH /services/data/v61.0/composite/sobjects",
    new_path="/services/data/v61.0/sobjects/Contact",
    delete_path="/services/data/v61.0/sobjects/Contact",
    missing_id="001550000099999AAA",
    wraps=False,
    options={"duplicate_rule": True},
)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox."""
    with SandboxProcess(tmp_path_factory.mktemp("fleet")) as process:
        yield process


async def _prepared(subject: Subject, sandbox: SandboxProcess, timeout_s: float) -> AsyncIterator[Lab]:
    async with open_lab(subject, sandbox, f"conform-{next(_NUMBERS)}", timeout_s) as lab:
        report = await lab.connector.prepare([subject.person, subject.company])
        assert report.ok, report.findings
        yield lab


class _WithLab(ConnectorConformance):
    """The suite with its fixtures."""

    @pytest.fixture
    async def lab(self, sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[Lab]:
        """An empty, prepared account."""
        assert anyio_backend == "asyncio"
        async for lab in _prepared(self.subject, sandbox, 5.0):
            yield lab

    @pytest.fixture
    async def patient_lab(self, sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[Lab]:
        """The same with a short timeout."""
        assert anyio_backend == "asyncio"
        async for lab in _prepared(self.subject, sandbox, HANG_TIMEOUT_S):
            yield lab


class TestHubSpot(_WithLab):
    """HubSpot."""

    subject = HUBSPOT_SUBJECT

    def links(self, lab: Lab) -> list[str]:
        [person] = lab.records(lab.subject.person)
        return [one["to_id"] for one in person["associations"]]

    @pytest.mark.parametrize(
        ("crm_object", "fields"),
        [
            ("deals", {"dealname": "Big", "amount": 5000}),
            ("emails", {"hs_timestamp": "2026-01-01T00:00:00Z", "hs_email_subject": "Hi"}),
            ("calls", {"hs_timestamp": "2026-01-01T00:00:00Z", "hs_call_title": "Hi"}),
            ("meetings", {"hs_timestamp": "2026-01-01T00:00:00Z", "hs_meeting_title": "Hi"}),
            ("notes", {"hs_timestamp": "2026-01-01T00:00:00Z", "hs_note_body": "Hi"}),
            ("tasks", {"hs_timestamp": "2026-01-01T00:00:00Z", "hs_task_subject": "Hi"}),
            ("leads", {"hs_lead_name": "Hi"}),
        ],
    )
    async def test_other_objects_take_the_same_road(
        self, lab: Lab, crm_object: str, fields: dict[str, Any]
    ) -> None:
        """Deals, leads and every activity: prepared, written, found with typed values."""
        await _other_object(lab, Target("activity", crm_object, "headwater_id", tuple(fields)), fields)


class TestSalesforce(_WithLab):
    """Salesforce."""

    subject = SALESFORCE_SUBJECT

    def links(self, lab: Lab) -> list[str]:
        [person] = lab.records(lab.subject.person)
        return [person["fields"]["AccountId"]]

    @pytest.mark.parametrize(
        ("crm_object", "fields"),
        [
            ("Lead", {"LastName": "L", "Company": "C"}),
            (
                "Opportunity",
                {"Name": "O", "StageName": "Prospecting", "CloseDate": "2026-01-31", "Amount": 12.5},
            ),
            ("Task", {"Subject": "Call", "ActivityDate": "2026-01-31"}),
            (
                "Event",
                {"Subject": "Meet", "DurationInMinutes": 30, "ActivityDateTime": "2026-01-31T10:00:00Z"},
            ),
        ],
    )
    async def test_other_objects_take_the_same_road(
        self, lab: Lab, crm_object: str, fields: dict[str, Any]
    ) -> None:
        """Leads, opportunities and activities: prepared, written, found."""
        await _other_object(lab, Target("activity", crm_object, "Headwater_Id__c", tuple(fields)), fields)


async def _other_object(lab: Lab, target: Target, fields: dict[str, Any]) -> None:
    report = await lab.connector.prepare([target])
    assert report.ok, report.findings
    [outcome] = await lab.connector.upsert(target, [Write("ext-9", "", fields)])
    assert isinstance(outcome, Written), outcome
    held = (await lab.connector.look_up(target, ["ext-9"]))["ext-9"]
    assert held.crm_id == outcome.crm_id
    assert dict(held.fields) == fields


@pytest.mark.parametrize("vendor", [HUBSPOT, SALESFORCE])
def test_vendors_are_found_by_entry_point(vendor: Vendor) -> None:
    """The registry finds both by name, with their evidence stated."""
    assert load_vendor(vendor.name) is vendor
    assert vendor.evidence == "recorded"
