"""What the connector calls, and what that costs, against the sandbox past its gate."""

from __future__ import annotations

import datetime as dt
import json

import httpx
import pytest
from tests.unit.connectors.scripted import Script, an_account
from tests.unit.sandbox.bench import Bench

from headwater.connectors.base import Target, Write, Written
from headwater.connectors.base.fetching import Fetcher
from headwater.connectors.base.polling import Polled
from headwater.connectors.pipedrive.client import PipedriveConnector, PipedriveVendor
from headwater.sandbox.call import Call
from headwater.sandbox.pipedrive.vendor import Pipedrive

pytestmark = pytest.mark.anyio

PERSONS = Target("contact", "persons", "headwater_id", ("name", "email", "headwater_note"), ("org_id",))
CREATE, LIST, SEARCH = 5, 10, 20


class Company:
    """A company's Pipedrive, its connector, and the tokens that calls take."""

    def __init__(self) -> None:
        self.bench = Bench("pipedrive")
        self.script = Script(self._answer)
        self.connector: PipedriveConnector = PipedriveVendor().open(
            an_account(), self.script.gate, transport=self.script
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        answer = self.bench.call(request.method, request.url.path, body, **dict(request.url.params))
        return httpx.Response(answer.status, content=answer.body)

    def tokens(self) -> int:
        """Return what all calls since the last question took of the day."""
        vendor = self.bench.vendor
        assert isinstance(vendor, Pipedrive)
        calls = [
            Call("pipedrive", "unit", 0, "r", sent.method, sent.url.path, (), {}, b"", "", 0)
            for sent in self.script.requests
        ]
        self.script.requests.clear()
        return sum(vendor.cost(call) for call in calls)

    def kept(self) -> int:
        """Return how many persons there are."""
        return self.bench.account.records.count("persons")


@pytest.fixture
async def company() -> Company:
    """A prepared company."""
    company = Company()
    assert (await company.connector.prepare([PERSONS])).ok
    company.tokens()
    return company


async def test_a_create_in_a_small_account_costs_a_page_and_itself(company: Company) -> None:
    """A walk that saw everything proves that nothing is there: no search, one page for the whole batch."""
    writes = [Write(f"e-{number}", "", {"name": f"P{number}"}) for number in range(4)]
    outcomes = await company.connector.upsert(PERSONS, writes)
    assert all(isinstance(outcome, Written) and outcome.created for outcome in outcomes)
    assert company.tokens() == LIST + 4 * CREATE


async def test_what_a_page_does_not_show_is_searched(company: Company) -> None:
    """In an account of more than a page: the page, a search, the record by its id, the update."""
    [first] = await company.connector.upsert(PERSONS, [Write("e-old", "", {"name": "Old"})])
    for number in range(500):
        company.bench.call("POST", "/api/v2/persons", {"name": f"Other {number}"})
    company.tokens()
    [again] = await company.connector.upsert(PERSONS, [Write("e-old", "", {"name": "Older"})])
    assert isinstance(first, Written)
    assert again == Written(first.crm_id, created=False)
    assert company.tokens() == LIST + SEARCH + LIST + CREATE


async def test_a_record_that_the_search_does_not_know_yet_is_not_made_twice(company: Company) -> None:
    """Right after a create whose answer was lost the index may lag; the list of the newest does not."""
    await company.connector.upsert(PERSONS, [Write("e-1", "", {"name": "Ann"})])
    company.bench.database.run("clear_lookups", company.bench.account.key)
    [outcome] = await company.connector.upsert(PERSONS, [Write("e-1", "", {"name": "Ann"})])
    assert isinstance(outcome, Written)
    assert not outcome.created
    assert company.kept() == 1


async def test_an_update_keeps_the_addresses_that_others_added(company: Company) -> None:
    """The list is read before it is replaced, once for the batch."""
    [made] = await company.connector.upsert(
        PERSONS, [Write("e-1", "", {"name": "Ann", "email": "a@x.example"})]
    )
    assert isinstance(made, Written)
    entries = [{"value": "a@x.example", "primary": True}, {"value": "b@x.example"}]
    company.bench.call("PATCH", f"/api/v2/persons/{made.crm_id}", {"emails": entries})
    await company.connector.upsert(PERSONS, [Write("e-1", made.crm_id, {"email": "c@x.example"})])
    record = company.bench.account.records.live("persons", made.crm_id)
    assert record is not None
    assert [entry["value"] for entry in record.fields["emails"]] == ["c@x.example", "b@x.example"]


async def test_a_field_that_was_made_anew_is_found_again(company: Company) -> None:
    """Its key is another one then: what was remembered is read anew."""
    company.bench.account.custom["persons"].clear()
    writes = [Write("e-1", "", {"name": "Ann", "headwater_note": "x"})]
    first = await company.connector.upsert(PERSONS, writes)
    assert not isinstance(first[0], Written)
    assert (await company.connector.prepare([PERSONS])).ok
    assert isinstance((await company.connector.upsert(PERSONS, writes))[0], Written)


async def test_an_api_token_goes_in_its_own_header() -> None:
    """No token endpoint is asked, and no bearer token is sent."""
    script = Script(
        lambda _request: httpx.Response(200, json={"success": True, "data": {"company_name": "A"}})
    )
    account = an_account(api_token="a-long-api-token")
    report = await PipedriveVendor().open(account, script.gate, transport=script).test_connection()
    assert report.ok
    assert script.tokens == 0
    [request] = script.requests
    assert request.headers["x-api-token"] == "a-long-api-token"
    assert "authorization" not in request.headers


async def test_records_are_fetched_as_a_poll_tells_them(company: Company) -> None:
    """In one call for a hundred; deleted ones and ids that never were are absent."""
    writes = [Write(f"e-{number}", "", {"name": f"P{number}", "headwater_note": "x"}) for number in range(3)]
    made = [one.crm_id for one in await company.connector.upsert(PERSONS, writes) if isinstance(one, Written)]
    company.bench.call("DELETE", f"/api/v2/persons/{made[1]}")
    polled = Polled("persons", ("name", "headwater_note"), deletions=True)
    company.tokens()
    found = await company.connector.fetch(polled, [*made, made[0], "999999", "x"])
    assert company.tokens() == LIST
    assert isinstance(company.connector, Fetcher)
    assert found.absent == (made[1], "999999", "x")
    page = await company.connector.changes(polled, "", 100, dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    assert sorted(found.records, key=str) == sorted(page.records, key=str)
    assert {item.crm_id: item.fields["name"] for item in found.records} == {made[0]: "P0", made[2]: "P2"}
