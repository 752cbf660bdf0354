"""The Salesforce connector against a scripted vendor: instance, paging, isolation; its headers."""

from __future__ import annotations

import json

import httpx
import pytest
from tests.unit.connectors.scripted import CONTACT, Script, an_account, in_turn

from headwater.connectors.base import CallFailed, ErrorClass, Failed, LimitFacts, Write
from headwater.connectors.base.http import Answer
from headwater.connectors.salesforce.auth import grant_of, trusted_instance
from headwater.connectors.salesforce.client import SalesforceVendor
from headwater.connectors.salesforce.limits import read_limits
from headwater.kernel.errors import InvalidInput

pytestmark = pytest.mark.anyio


async def test_look_up_follows_pages_by_their_locator() -> None:
    """A second page is fetched and joined."""

    def record(number: int) -> dict[str, object]:
        return {"Id": f"003{number}", "Headwater_Id__c": f"e{number}", "Email": None, "LastName": "x"}

    pages = [
        {"done": False, "records": [record(1)], "nextRecordsUrl": "/services/data/v61.0/query/01g-1"},
        {"done": True, "records": [record(2)]},
    ]
    script = Script(in_turn([httpx.Response(200, json=page) for page in pages]))
    connector = SalesforceVendor().open(an_account(), script.gate, transport=script)
    found = await connector.look_up(CONTACT, ["e1", "e2", "e3"])
    assert sorted(found) == ["e1", "e2"]
    assert found["e1"].fields == {"Email": None, "LastName": "x"}
    assert script.requests[1].url.path == "/services/data/v61.0/query/01g-1"


async def test_upsert_isolates_the_record_whose_value_cannot_be_parsed() -> None:
    """One unreadable value refuses the whole call; the others still get through."""

    def answer(request: httpx.Request) -> httpx.Response:
        records = json.loads(request.content)["records"]
        if any(one["LastName"] == "bad" for one in records):
            return httpx.Response(400, json=[{"errorCode": "JSON_PARSER_ERROR", "message": "cannot"}])
        return httpx.Response(200, json=[{"id": "003", "success": True, "created": True} for _ in records])

    script = Script(answer)
    connector = SalesforceVendor().open(an_account(), script.gate, transport=script)
    names = ["a", "b", "bad", "c"]
    outcomes = await connector.upsert(CONTACT, [Write(name, "", {"LastName": name}) for name in names])
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [False, False, True, False]


async def test_open_refuses_a_malformed_api_version() -> None:
    """The version is part of every path, so it is checked before any call."""
    with pytest.raises(InvalidInput, match="api_version"):
        SalesforceVendor().open(an_account(api_version="61"), Script(lambda _r: httpx.Response(200)).gate)


@pytest.mark.parametrize(
    ("instance", "trusted"),
    [
        ("https://login.example.test/salesforce/a", True),
        ("https://acme.my.salesforce.com", True),
        ("https://acme.my.force.com", True),
        ("http://acme.my.salesforce.com", False),
        ("https://salesforce.com.evil.test", False),
        ("https://evilsalesforce.com", False),
        ("https://x@acme.my.salesforce.com", False),
        ("https://elsewhere.test", False),
    ],
)
def test_tokens_go_to_trusted_instances_only(instance: str, trusted: bool) -> None:  # noqa: FBT001
    """The account's own origin and Salesforce's domains over TLS, nothing else."""
    assert trusted_instance(instance, "https://login.example.test") is trusted


def test_grant_of_refuses_a_strange_instance() -> None:
    """A token answer that names another host needs a person."""
    body = b'{"access_token":"t","instance_url":"https://elsewhere.test"}'
    with pytest.raises(CallFailed) as failed:
        grant_of(Answer(200, {}, body), "https://login.example.test")
    assert failed.value.error.error_class is ErrorClass.AUTH


def test_read_limits_takes_the_orgs_usage() -> None:
    """The org's own count, not the one per app."""
    headers = {"sforce-limit-info": "per-app-api-usage=17/250(appName=x); api-usage=25/5000"}
    assert read_limits(headers) == LimitFacts(daily_used=25, daily_limit=5000)
    assert read_limits({"sforce-limit-info": "per-app-api-usage=17/250"}) == LimitFacts()
