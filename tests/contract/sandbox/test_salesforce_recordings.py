"""The sandbox answers the recorded requests of real Salesforce orgs in the same shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.sandbox.recordings import Exchange, differences, load, recordings

if TYPE_CHECKING:
    import httpx
    from tests.contract.sandbox.process import SandboxProcess

HOST = "https://orgname.my.salesforce.com"
ACCOUNTS = [
    "0012300000bVTphAAG",
    "0012300000bVTpmAAG",
    "0012300000bVTprAAG",
    "0012300000bVTpwAAG",
    "0012300000bVTq1AAG",
    "0012300000bVTq6AAG",
]

GIVEN: dict[str, list[tuple[str, dict[str, str]]]] = {
    "TestCompositeParallelSalesforce.test_composite_parallel_salesforce": [],
    "TestCompositeParallelSalesforce.test_errors": [],
    "TestCountSObjects.test_count_sobjects__errors": [],
    "TestUpdatesIntegrationTests.test_updates_task": [
        (key, {"Name": f"Account {number}"}) for number, key in enumerate(ACCOUNTS)
    ],
    "TestUpsert.test_simple_upsert__rest": [],
    "TestUpsert.test_upsert_complex_external_id_field__rest": [],
    "TestUpsert.test_upsert_complex_external_id_field_rest__duplicate_error": [],
}
"""Recording -> accounts that must be in the org before: (recorded id, fields)."""

DESCRIBED = ("Account", "Contact", "Lead", "Opportunity", "Event")
OUT_OF_SCOPE = {
    "GET_sobjects_Custom__c_describe": "custom objects are not modelled",
    "GET_sobjects_OpportunityContactRole_describe": "the object is not modelled",
    "GET_sobjects_Organization": "the object is not modelled",
    "ManualEdit_TestCountSObjects.test_count_sobjects__network_errors": "edited by hand; a 500 is a fault here",
    "TestUpsert.test_upsert_complex_fields__bulk": "Bulk API is not modelled",
}
SUBQUERY = "%28select"
"""A query inside the field list is outside the SOQL subset."""


def test_every_recording_is_replayed_or_named_with_a_reason() -> None:
    """No recording is passed over in silence."""
    described = {f"GET_sobjects_{name}_describe" for name in (*DESCRIBED, "Global")}
    known = {*GIVEN, *OUT_OF_SCOPE, *described}
    assert {path.stem for path in recordings("salesforce").glob("*.yaml")} == known


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_answers_have_the_recorded_shape_when_replayed(sandbox: SandboxProcess, name: str) -> None:
    """Status, content type and JSON shape are those of the real org."""
    account = name.split(".")[1].replace("_", "-")[:60].rstrip("-").lower()
    sandbox.empty("salesforce", account)
    with sandbox.session("salesforce", account) as client:
        ids = {recorded: _make(client, fields) for recorded, fields in GIVEN[name]}
        replayed = 0
        for exchange in load(recordings("salesforce") / f"{name}.yaml"):
            if SUBQUERY in exchange.url:
                continue
            answer = _replay(client, exchange, ids)
            assert answer.status_code == exchange.status
            assert answer.headers["content-type"].lower() == "application/json;charset=utf-8"
            assert "api-usage=" in answer.headers["sforce-limit-info"]
            # A record count is an estimate that lags: an org may count one that a query does not find.
            free = ("sObjects",) if "recordCount" in exchange.url else ()
            assert differences(exchange.content, answer.json(), exchange.url, free) == []
            assert _verdicts(answer.json()) == _verdicts(exchange.content)
            _learn(ids, exchange.content, answer.json())
            replayed += 1
    assert replayed > 0


@pytest.mark.parametrize("name", DESCRIBED)
def test_describe_has_the_recorded_shape(sandbox: SandboxProcess, name: str) -> None:
    """Every standard field of the sandbox is a real one with the same keys, type, length and flags."""
    with sandbox.session("salesforce", "describes") as client:
        seen = client.get(f"/services/data/v59.0/sobjects/{name}/describe").json()
    real = load(recordings("salesforce") / f"GET_sobjects_{name}_describe.yaml")[0].content
    # Newer versions tell more about an object than the older of the recordings.
    newer = {"associateEntityType", "associateParentEntity", "sobjectDescribeOption", "implementedBy"}
    assert {key for key in {*real, *seen} if (key in real) != (key in seen)} <= newer
    fields = {one["name"]: one for one in real["fields"]}
    standard = [one for one in seen["fields"] if not one["custom"]]
    assert {one["name"] for one in standard} <= set(fields)
    keys = [set(one) ^ set(fields[one["name"]]) for one in standard]
    assert [odd for odd in keys if odd] == []
    told = (
        "type",
        "length",
        "nillable",
        "createable",
        "updateable",
        "externalId",
        "restrictedPicklist",
        "idLookup",
    )
    assert [
        one["name"] for one in standard if any(one[key] != fields[one["name"]][key] for key in told)
    ] == []
    custom = {one["name"] for one in seen["fields"] if one["custom"]}
    assert custom == {"Headwater_Id__c", "Headwater_Status__c", "Headwater_Merged_Into__c"}


def test_global_describe_has_the_recorded_shape(sandbox: SandboxProcess) -> None:
    """Every object of the sandbox is listed as a real org lists it."""
    with sandbox.session("salesforce", "describes") as client:
        seen = client.get("/services/data/v59.0/sobjects").json()
    real = load(recordings("salesforce") / "GET_sobjects_Global_describe.yaml")[0].content
    objects = {one["name"]: one for one in real["sobjects"]}
    assert set(seen) == set(real)
    listed = [one for one in seen["sobjects"] if one["name"] in objects]
    assert {one["name"] for one in listed} == {"Account", "Contact", "Event", "Lead", "Opportunity"}
    # The file has no key prefix for Event and Lead, which were added to it; their own describes have.
    tenant = ("urls", "associateEntityType", "associateParentEntity", "keyPrefix")
    assert [
        odd for one in listed for odd in differences(objects[one["name"]], one, one["name"], tenant)
    ] == []


def _make(client: httpx.Client, fields: dict[str, str]) -> str:
    made = client.post("/services/data/v59.0/sobjects/Account", json=fields)
    return str(made.raise_for_status().json()["id"])


def _replay(client: httpx.Client, exchange: Exchange, ids: dict[str, str]) -> httpx.Response:
    url, body = exchange.url.removeprefix(HOST), exchange.body
    for recorded, own in ids.items():
        url = url.replace(recorded, own)
        body = body.replace(recorded, own) if body else body
    content = body.replace("vxx.0", "v59.0") if body else None
    headers = {"Content-Type": "application/json"} if body else {}
    return client.request(exchange.method, url.replace("vxx.0", "v59.0"), content=content, headers=headers)


def _verdicts(content: Any) -> list[tuple[Any, Any]]:
    """(success, created) of each row of a collection, which no tenant's state may change."""
    rows = content if isinstance(content, list) else []
    return [(one.get("success"), one.get("created")) for one in rows]


def _learn(ids: dict[str, str], recorded: Any, seen: Any) -> None:
    if isinstance(recorded, list) and isinstance(seen, list):
        for left, right in zip(recorded, seen, strict=False):
            _learn(ids, left, right)
    elif isinstance(recorded, dict) and recorded.get("success") and "id" in recorded:
        ids[recorded["id"]] = seen["id"]


def test_query_errors_are_worded_as_recorded(sandbox: SandboxProcess) -> None:
    """The refusal of an unknown object repeats the query and marks the place, letter by letter."""
    name = "TestCountSObjects.test_count_sobjects__errors"
    exchange = load(recordings("salesforce") / f"{name}.yaml")[0]
    with sandbox.session("salesforce", "wording") as client:
        answer = _replay(client, exchange, {})
    assert answer.json()["compositeResponse"][1]["body"] == exchange.content["compositeResponse"][1]["body"]
    assert json.loads(exchange.body or "")["compositeRequest"][1]["referenceId"] == "refXYZZY"
