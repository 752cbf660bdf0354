"""Converted leads against the running sandbox: a write to one leads to the contact that it became."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from tests.contract.connectors.lab import SandboxLab, open_lab
from tests.contract.connectors.test_bulk import over
from tests.contract.connectors.test_conformance import SALESFORCE_ROOMS, SALESFORCE_SUBJECT
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import ErrorClass, Failed, Target, Write, Written
from headwater.connectors.base.bulk import bulk_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.enable_socket,
    pytest.mark.slow,
    pytest.mark.evidence("salesforce", "lead conversion", "own sandbox only"),
]
LEAD = Target("lead", "Lead", "Headwater_Id__c", ("LastName", "Company", "Email"))
SOAP = (
    '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com">'
    "<env:Header><SessionHeader><sessionId>{token}</sessionId></SessionHeader></env:Header><env:Body><convertLead>"
    "<leadConverts><leadId>{lead}</leadId><convertedStatus>Closed - Converted</convertedStatus></leadConverts>"
    "</convertLead></env:Body></env:Envelope>"
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox."""
    with SandboxProcess(tmp_path_factory.mktemp("fleet")) as process:
        yield process


@pytest.fixture
async def lab(sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[SandboxLab]:
    """An empty org."""
    assert anyio_backend == "asyncio"
    async with open_lab(SALESFORCE_SUBJECT, SALESFORCE_ROOMS, sandbox, "leads") as opened:
        yield opened


def convert(sandbox: SandboxProcess, account: str, lead_id: str) -> str:
    """Convert a lead as a person would; return the contact's id."""
    token = sandbox.token("salesforce", account)["access_token"]
    body = SOAP.format(token=token, lead=lead_id)
    with sandbox.session("salesforce", account) as session:
        told = session.post("/services/Soap/u/61.0", content=body, headers={"content-type": "text/xml"})
    found = re.search(r"<contactId>(\w+)</contactId>", told.raise_for_status().text)
    assert found, told.text
    return found[1]


def lead(number: int, crm_id: str = "", **fields: str) -> Write:
    """Return a write of a lead."""
    return Write(f"e{number}", crm_id, {"LastName": f"Lead {number}", "Company": f"Firm {number}", **fields})


async def test_a_write_to_a_converted_lead_offers_its_contact(lab: SandboxLab) -> None:
    """By external id and by CRM id alike; other leads of the batch are written."""
    made = await lab.write(lead(1), lead(2), lead(3), target=LEAD)
    first, second, _ = [one.crm_id for one in made if isinstance(one, Written)]
    contacts = [convert(lab.sandbox, lab.account, one) for one in (first, second)]
    again = await lab.write(
        lead(1, first, Email="l1@example.org"),
        lead(2, Email="l2@example.org"),
        lead(3, Email="l3@example.org"),
        target=LEAD,
    )
    for outcome, contact in zip(again[:2], contacts, strict=True):
        assert isinstance(outcome, Failed)
        told = outcome.error
        assert (told.error_class, told.existing_crm_id, told.existing_crm_object) == (
            ErrorClass.CONFLICT, contact, "Contact",
        )  # fmt: skip
    assert isinstance(again[2], Written)


async def test_a_bulk_job_tells_it_alike(lab: SandboxLab) -> None:
    """Its results are followed to the contacts, too."""
    [made] = await lab.write(lead(1), target=LEAD)
    assert isinstance(made, Written)
    contact = convert(lab.sandbox, lab.account, made.crm_id)
    jobs, writes = bulk_of(lab.connector), [lead(1, Email="l1@example.org"), lead(2)]
    assert jobs is not None
    job_id = await jobs.open(LEAD, writes)
    await jobs.upload(job_id, LEAD, writes)
    await jobs.start(job_id)
    await over(jobs, job_id)
    outcomes = (await jobs.results(job_id, LEAD, [replace(one, fields={}) for one in writes])).outcomes
    refused = outcomes["e1"]
    assert isinstance(refused, Failed)
    assert (refused.error.existing_crm_id, refused.error.existing_crm_object) == (contact, "Contact")
    assert isinstance(outcomes["e2"], Written)
