"""What both connectors tell of automations and required fields, against the running sandbox's own state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tests.contract.connectors.lab import SandboxLab, open_lab
from tests.contract.connectors.test_conformance import (
    HUBSPOT_ROOMS,
    HUBSPOT_SUBJECT,
    SALESFORCE_ROOMS,
    SALESFORCE_SUBJECT,
)
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import CallFailed, ErrorClass, Inspectable, WriteConditions

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.enable_socket,
    pytest.mark.slow,
    pytest.mark.evidence("hubspot", "conditions", "own sandbox only"),
    pytest.mark.evidence("salesforce", "conditions", "own sandbox only"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox."""
    with SandboxProcess(tmp_path_factory.mktemp("fleet")) as process:
        yield process


@dataclass(frozen=True, slots=True)
class Setup:
    """An account, and what its people can automate."""

    lab: SandboxLab

    def automate(self, *planted: Mapping[str, Any], **options: Any) -> None:
        """Set the account up."""
        self.lab.options({"automations": list(planted), **options})

    async def conditions(self, crm_object: str = "") -> WriteConditions:
        """Return what the connector tells of an object; people unless told otherwise."""
        assert isinstance(self.lab.connector, Inspectable)
        return await self.lab.connector.conditions(crm_object or self.lab.subject.person.crm_object)

    async def told(self) -> list[tuple[str, str]]:
        """Return kind and name of the automations of people."""
        return [(item.kind.value, item.name) for item in (await self.conditions()).automations]


@pytest.fixture
async def hubspot(sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[Setup]:
    """A HubSpot account."""
    assert anyio_backend == "asyncio"
    async with open_lab(HUBSPOT_SUBJECT, HUBSPOT_ROOMS, sandbox, "conditions") as lab:
        yield Setup(lab)


@pytest.fixture
async def salesforce(sandbox: SandboxProcess, anyio_backend: str) -> AsyncIterator[Setup]:
    """A Salesforce org."""
    assert anyio_backend == "asyncio"
    async with open_lab(SALESFORCE_SUBJECT, SALESFORCE_ROOMS, sandbox, "conditions") as lab:
        yield Setup(lab)


def planted(kind: str, crm_object: str, name: str, *, active: bool = True) -> dict[str, Any]:
    """Return one automation as the sandbox's options have it."""
    return {"kind": kind, "object": crm_object, "name": name, "active": active}


async def test_hubspot_tells_workflows_of_the_object_that_are_switched_on(hubspot: Setup) -> None:
    """Those of other objects and those that are off are left out."""
    hubspot.automate(
        planted("workflow", "contacts", "Welcome mail"),
        planted("workflow", "companies", "Assign owner"),
        planted("workflow", "contacts", "Old nurture", active=False),
    )
    assert await hubspot.told() == [("workflow", "Welcome mail")]


async def test_hubspot_workflows_are_read_to_the_last_page(hubspot: Setup) -> None:
    """The one that matters may be the hundred-and-fiftieth."""
    hubspot.automate(*(planted("workflow", "contacts", f"Flow {number}") for number in range(150)))
    assert [name for _, name in await hubspot.told()] == [f"Flow {number}" for number in range(150)]


async def test_hubspot_tells_required_properties(hubspot: Setup) -> None:
    """As the object's schema has them; another object has its own."""
    hubspot.automate(required_fields={"contacts": ["lifecyclestage"]})
    assert (await hubspot.conditions()).required == ("lifecyclestage",)
    assert (await hubspot.conditions("companies")).required == ()


async def test_salesforce_tells_everything_that_acts_on_the_object(salesforce: Setup) -> None:
    """Flows, rules, triggers and duplicate rules of the object; processes of any, for they do not tell."""
    salesforce.automate(
        planted("flow", "Contact", "Welcome"),
        planted("flow", "Account", "Territory"),
        planted("process", "Opportunity", "Escalate"),
        planted("workflow", "Contact", "Notify owner"),
        planted("workflow", "Contact", "Retired rule", active=False),
        planted("trigger", "Contact", "ContactTrigger"),
        planted("trigger", "Contact", "OldTrigger", active=False),
        planted("duplicate_rule", "Contact", "Same email"),
        planted("duplicate_rule", "Lead", "Same lead"),
    )
    assert await salesforce.told() == [
        ("flow", "Welcome"),
        ("process", "Escalate"),
        ("workflow", "Notify owner"),
        ("trigger", "ContactTrigger"),
        ("duplicate rule", "Same email"),
    ]


async def test_salesforce_tells_fields_that_a_new_record_must_have(salesforce: Setup) -> None:
    """Those that cannot be empty, can be set, and are not filled by Salesforce."""
    assert (await salesforce.conditions()).required == ("LastName",)


async def test_an_account_without_automations_tells_none(hubspot: Setup, salesforce: Setup) -> None:
    """An empty answer is an answer."""
    for setup in (hubspot, salesforce):
        assert (await setup.conditions()).automations == ()


async def test_what_cannot_be_asked_is_not_told_as_empty(hubspot: Setup, salesforce: Setup) -> None:
    """A vendor that fails makes the question fail: silence is no permission."""
    for setup in (hubspot, salesforce):
        await setup.conditions()
        setup.lab.faults({"kind": "error_5xx", "status": 503, "count": 1}, writes_only=False)
        with pytest.raises(CallFailed) as failed:
            await setup.conditions()
        assert failed.value.error.error_class is ErrorClass.SERVER
