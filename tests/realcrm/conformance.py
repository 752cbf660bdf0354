"""BottleCRM through the conformance suite, against the real server; run by `make test-realcrm`, not collected else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.realcrm.lab import SUBJECT, BottleLab, open_lab
from tests.realcrm.server import BottleCrm, bottle_crm

from headwater.connectors.base import ErrorClass, Failed, Reference, Target, Write, Written
from headwater.connectors.base.describing import Describing
from headwater.connectors.base.testing.conformance import ConnectorConformance
from headwater.connectors.base.testing.suite import proves
from headwater.connectors.bottlecrm.kinds import KINDS

pytestmark = [pytest.mark.anyio, pytest.mark.enable_socket, pytest.mark.slow, pytest.mark.timeout(300)]

OTHERS = [
    ("leads", {"first_name": "Grace", "last_name": "H", "email": "grace@example.org", "opportunity_amount": 12.5,
               "currency": "EUR"}),
    ("accounts", {"name": "Initech", "website": "https://initech.example", "number_of_employees": 40}),
    ("opportunities", {"name": "Big", "amount": 5000, "currency": "EUR", "closed_on": "2026-01-31",
                       "is_active": False}),
    ("tasks", {"title": "Call", "status": "New", "priority": "High", "due_date": "2026-01-31", "description": "Hi"}),
]  # fmt: skip

UNTOLD = {"leads": {"currency"}, "opportunities": {"is_active"}}
"""Fields that its serializers take and its description leaves out: `OTHERS` writes them."""


@pytest.fixture(scope="session")
def crm() -> Iterator[BottleCrm]:
    """A running BottleCRM."""
    with bottle_crm() as running:
        yield running


class TestBottleCrm(ConnectorConformance):
    """BottleCRM."""

    subject = SUBJECT

    @pytest.fixture
    async def lab(self, crm: BottleCrm, anyio_backend: str) -> AsyncIterator[BottleLab]:
        """An empty, prepared organization."""
        assert anyio_backend == "asyncio"
        async with open_lab(crm) as lab:
            yield lab

    @pytest.mark.parametrize(("crm_object", "fields"), OTHERS)
    @proves("upsert")
    async def test_other_objects_take_the_same_road(
        self, lab: BottleLab, crm_object: str, fields: dict[str, Any]
    ) -> None:
        """Leads, accounts, deals and tasks: prepared, written, found with typed values, changed, written once."""
        target = Target("activity", crm_object, "headwater_id", tuple(fields))
        report = await lab.connector.prepare([target])
        assert report.ok, report.findings
        [outcome] = await lab.write(Write("ext-9", "", fields), target=target)
        assert isinstance(outcome, Written), outcome
        held = (await lab.connector.look_up(target, ["ext-9"]))["ext-9"]
        assert (held.crm_id, dict(held.fields)) == (outcome.crm_id, fields)
        changed = {**fields, next(iter(fields)): "Other"}
        assert await lab.write(Write("ext-9", "", changed), target=target) == [
            Written(held.crm_id, created=False)
        ]
        assert dict((await lab.connector.look_up(target, ["ext-9"]))["ext-9"].fields) == changed
        assert await lab.connector.owners(target, [held.crm_id]) == {held.crm_id: "ext-9"}

    @proves("conflict")
    async def test_a_second_deal_of_a_name_names_the_first(self, lab: BottleLab) -> None:
        """Names of deals are taken once, whatever their case."""
        target = Target("deal", "opportunities", "headwater_id", ("name",))
        await lab.connector.prepare([target])
        [first] = await lab.write(Write("ext-1", "", {"name": "Big Deal"}), target=target)
        assert isinstance(first, Written)
        [second] = await lab.write(Write("ext-2", "", {"name": "big deal"}), target=target)
        assert isinstance(second, Failed)
        assert (second.error.error_class, second.error.existing_crm_id) == (ErrorClass.CONFLICT, first.crm_id)

    @proves("references")
    async def test_links_of_a_deal_are_added_to_and_one_to_nothing_is_told(self, lab: BottleLab) -> None:
        """BottleCRM takes lists of links whole and passes over what is not there: neither loses a link."""
        target = Target("deal", "opportunities", "headwater_id", ("name",), ("contacts",))
        await lab.connector.prepare([target])
        people = [await lab.person(number) for number in (1, 2)]
        for person in people:
            write = Write("ext-1", "", {"name": "Big"}, (Reference("contacts", (person.crm_id,)),))
            [outcome] = await lab.write(write, target=target)
            assert isinstance(outcome, Written), outcome
            crm_id = outcome.crm_id
        told = lab.person_client.get(f"/api/opportunities/{crm_id}/").json()["opportunity_obj"]
        assert {one["id"] for one in told["contacts"]} == {person.crm_id for person in people}
        lost = Reference("contacts", (lab.subject.missing_id,))
        [outcome] = await lab.write(Write("ext-1", "", {"name": "Big"}, (lost,)), target=target)
        assert isinstance(outcome, Failed)
        assert (outcome.error.error_class, outcome.error.field) == (ErrorClass.REFERENCE, "contacts")

    @proves("permission")
    async def test_a_token_without_a_scope_is_told_which(self, lab: BottleLab) -> None:
        """Scopes of tokens are told apart from tokens that nobody knows."""
        body = {"name": "narrow", "scopes": ["contacts:read", "custom-fields:read"]}
        told = lab.person_client.post("/api/profile/tokens/", json=body).raise_for_status().json()
        lab.connector._token = told["token"]  # type: ignore[attr-defined] # noqa: SLF001 - the same account, less able
        assert (await lab.connector.test_connection()).ok
        with pytest.raises(Exception, match="contacts:write scope") as failed:
            await lab.person(1)
        assert failed.value.error.error_class is ErrorClass.PERMISSION  # type: ignore[attr-defined]

    @proves("schema discovery")
    async def test_every_field_of_the_tables_is_one_that_the_server_takes(self, lab: BottleLab) -> None:
        """The server's own description of its write calls names every native field that we may write."""
        described = lab.person_client.get("/schema/", params={"format": "json"}).raise_for_status().json()
        untold: dict[str, set[str]] = {}
        assert isinstance(lab.connector, Describing)
        for kind in KINDS.values():
            body = described["paths"][f"/api/{kind.name}/"]["post"]["requestBody"]["content"][
                "application/json"
            ]
            name = body["schema"]["$ref"].rpartition("/")[2]
            known = set(described["components"]["schemas"][name]["properties"])
            if missing := {*kind.fields, *kind.references} - known:
                untold[kind.name] = missing
            assert set(kind.fields) <= set(await lab.connector.schema(kind.name))
        assert untold == UNTOLD
