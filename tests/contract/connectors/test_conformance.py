"""HubSpot and Salesforce through the conformance suite, against the running sandbox."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest
from tests.contract.connectors import multipart
from tests.contract.connectors.lab import HANG_TIMEOUT_S, Rooms, SandboxLab, open_lab
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import ErrorClass, Target, Write, Written
from headwater.connectors.base.testing.conformance import ConnectorConformance
from headwater.connectors.base.testing.conformance_faults import GIVES_UP_S, whole_failure
from headwater.connectors.base.testing.lab import Subject
from headwater.connectors.base.testing.suite import proves
from headwater.connectors.dynamics import VENDOR as DYNAMICS
from headwater.connectors.hubspot import VENDOR as HUBSPOT
from headwater.connectors.pipedrive import VENDOR as PIPEDRIVE
from headwater.connectors.salesforce import VENDOR as SALESFORCE

pytestmark = [pytest.mark.anyio, pytest.mark.enable_socket, pytest.mark.slow]

HUBSPOT_SUBJECT = Subject(
    vendor=HUBSPOT,
    evidence="own sandbox only",
    person=Target("contact", "contacts", "headwater_id", ("email", "firstname", "address"), ("companies",)),
    company=Target("account", "companies", "headwater_id", ("name",)),
    email="email",
    name="firstname",
    text="address",
    link="companies",
    company_fields={"name": "Acme"},
    missing_id="999999999999",
    results=lambda body: body["results"],
)
HUBSPOT_ROOMS = Rooms(
    vendor="hubspot",
    writes_path="POST /crm/v3/objects/contacts/batch/(upsert|update)",
    new_path="/crm/v3/objects/contacts",
    wraps=True,
)
SALESFORCE_SUBJECT = Subject(
    vendor=SALESFORCE,
    evidence="own sandbox only",
    person=Target(
        "contact", "Contact", "Headwater_Id__c", ("Email", "LastName", "Description"), ("AccountId",)
    ),
    company=Target("account", "Account", "Headwater_Id__c", ("Name",)),
    email="Email",
    name="LastName",
    text="Description",
    link="AccountId",
    company_fields={"Name": "Acme"},
    missing_id="001550000099999AAA",
)
SALESFORCE_ROOMS = Rooms(
    vendor="salesforce",
    writes_path="PATCH /services/data/v61.0/composite/sobjects",
    new_path="/services/data/v61.0/sobjects/Contact",
    wraps=False,
    options={"duplicate_rule": True},
)
PIPEDRIVE_SUBJECT = Subject(
    vendor=PIPEDRIVE,
    evidence="own sandbox only",
    person=Target(
        "contact",
        "persons",
        "headwater_id",
        ("email", "name", "headwater_note", "owner_id"),
        ("org_id",),
    ),
    company=Target("account", "organizations", "headwater_id", ("name",)),
    email="email",
    name="name",
    text="headwater_note",
    link="org_id",
    company_fields={"name": "Acme"},
    missing_id="999999999",
    bad=("owner_id", "not-a-number"),
    results=lambda body: [body["data"]],
)
PIPEDRIVE_ROOMS = Rooms(
    vendor="pipedrive",
    writes_path="(POST|PATCH) /api/v2/(persons|organizations)",
    new_path="/api/v2/persons",
    wraps=False,
    batches=False,
)
DYNAMICS_SUBJECT = Subject(
    vendor=DYNAMICS,
    evidence="own sandbox only",
    person=Target(
        "contact",
        "contact",
        "hw_headwaterid",
        ("emailaddress1", "jobtitle", "description", "numberofchildren"),
        ("parentcustomerid_account",),
    ),
    company=Target("account", "account", "hw_headwaterid", ("name",)),
    email="emailaddress1",
    name="jobtitle",
    text="description",
    link="parentcustomerid_account",
    company_fields={"name": "Acme"},
    missing_id="00000000-0000-4000-8000-000000000000",
    bad=("numberofchildren", "many"),
)
DYNAMICS_ROOMS = Rooms(
    vendor="dynamics",
    writes_path=r"POST /api/data/v9\.2/(\$batch|contacts|accounts)",
    new_path="/api/data/v9.2/contacts",
    wraps=False,
    credentials={"tenant_id": "sandbox", "login_url": "{url}/dynamics/{name}"},
    wrong={"client_secret": "wrong"},
    by_id="({id})",
    codec=(multipart.decode, multipart.encode),
)


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox."""
    with SandboxProcess(tmp_path_factory.mktemp("fleet")) as process:
        yield process


class _WithLab(ConnectorConformance):
    """The suite with its fixtures, and what only a real connection can show."""

    rooms: ClassVar[Rooms]

    async def _prepared(self, sandbox: SandboxProcess, timeout_s: float) -> AsyncIterator[SandboxLab]:
        async with open_lab(self.subject, self.rooms, sandbox, "conform", timeout_s) as lab:
            assert self.subject.company is not None
            report = await lab.connector.prepare([self.subject.person, self.subject.company])
            assert report.ok, report.findings
            yield lab

    @pytest.fixture
    async def lab(self, sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[SandboxLab]:
        """An empty, prepared account."""
        assert anyio_backend == "asyncio"
        async for lab in self._prepared(sandbox, 5.0):
            yield lab

    @pytest.fixture
    async def patient_lab(self, sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[SandboxLab]:
        """The same with a short timeout."""
        assert anyio_backend == "asyncio"
        async for lab in self._prepared(sandbox, HANG_TIMEOUT_S):
            yield lab

    @proves("lost answer")
    async def test_answer_that_never_comes_is_in_doubt_in_time(self, patient_lab: SandboxLab) -> None:
        """The write was committed, the connection stays open in silence: IN_DOUBT within the timeout."""
        lab = patient_lab
        lab.faults({"kind": "commit_then_hang", "count": 1})
        began_s = time.monotonic()
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert error.error_class is ErrorClass.IN_DOUBT
        assert time.monotonic() - began_s < min(GIVES_UP_S, HANG_TIMEOUT_S + 2.0)
        assert list(await lab.found("ext-1")) == ["ext-1"]


class TestHubSpot(_WithLab):
    """HubSpot."""

    subject = HUBSPOT_SUBJECT
    rooms = HUBSPOT_ROOMS

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
    @proves("upsert")
    async def test_other_objects_take_the_same_road(
        self, lab: SandboxLab, crm_object: str, fields: dict[str, Any]
    ) -> None:
        """Deals, leads and every activity: prepared, written, found with typed values."""
        await _other_object(lab, Target("activity", crm_object, "headwater_id", tuple(fields)), fields)


class TestSalesforce(_WithLab):
    """Salesforce."""

    subject = SALESFORCE_SUBJECT
    rooms = SALESFORCE_ROOMS

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
    @proves("upsert")
    async def test_other_objects_take_the_same_road(
        self, lab: SandboxLab, crm_object: str, fields: dict[str, Any]
    ) -> None:
        """Leads, opportunities and activities: prepared, written, found."""
        await _other_object(lab, Target("activity", crm_object, "Headwater_Id__c", tuple(fields)), fields)


class TestPipedrive(_WithLab):
    """Pipedrive."""

    subject = PIPEDRIVE_SUBJECT
    rooms = PIPEDRIVE_ROOMS

    @proves("upsert")
    async def test_deals_take_the_same_road(self, lab: SandboxLab) -> None:
        """Deals: prepared, written, found with typed values."""
        fields = {"title": "Big", "value": 12.5, "currency": "EUR", "expected_close_date": "2026-01-31"}
        await _other_object(lab, Target("deal", "deals", "headwater_id", tuple(fields)), fields)


class TestDynamics(_WithLab):
    """Dynamics 365."""

    subject = DYNAMICS_SUBJECT
    rooms = DYNAMICS_ROOMS

    @pytest.mark.parametrize(
        ("table", "fields"),
        [
            ("lead", {"lastname": "L", "companyname": "C"}),
            ("opportunity", {"name": "O", "estimatedclosedate": "2026-01-31", "estimatedvalue": 12.5}),
            ("task", {"subject": "Call", "scheduledend": "2026-01-31T10:00:00Z"}),
        ],
    )
    @proves("upsert")
    async def test_other_tables_take_the_same_road(
        self, lab: SandboxLab, table: str, fields: dict[str, Any]
    ) -> None:
        """Leads, opportunities and tasks: prepared with a key of their own, written, found."""
        await _other_object(lab, Target("activity", table, "hw_headwaterid", tuple(fields)), fields)

    @proves("upsert")
    async def test_many_at_once_with_one_bad_among_them(self, lab: SandboxLab) -> None:
        """UpsertMultiple keeps nothing then: the batch tells whose fault it was, and writes the others."""
        bad = {**lab.subject.fields(7), "numberofchildren": "many"}
        writes = [Write(f"ext-{n}", "", bad if n == 7 else lab.subject.fields(n)) for n in range(30)]
        outcomes = await lab.write(*writes)
        assert [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, Written)] == [7]
        assert lab.count() == 29
        again = await lab.write(*(write for n, write in enumerate(writes) if n != 7))
        assert {outcome.created for outcome in outcomes if isinstance(outcome, Written)} == {True}
        assert {outcome.created for outcome in again if isinstance(outcome, Written)} == {False}


async def _other_object(lab: SandboxLab, target: Target, fields: dict[str, Any]) -> None:
    report = await lab.connector.prepare([target])
    assert report.ok, report.findings
    [outcome] = await lab.connector.upsert(target, [Write("ext-9", "", fields)])
    assert isinstance(outcome, Written), outcome
    held = (await lab.connector.look_up(target, ["ext-9"]))["ext-9"]
    assert held.crm_id == outcome.crm_id
    assert dict(held.fields) == fields
