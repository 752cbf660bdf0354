"""The sandbox answers the recorded requests of a real HubSpot portal in the same shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.sandbox.recordings import Exchange, differences, load, recordings

if TYPE_CHECKING:
    import httpx
    from tests.contract.sandbox.process import SandboxProcess

HOST = "https://api.hubapi.com"
TEN = [
    {"properties": {"firstname": f"Test {n}", "lastname": "User", "email": f"test{n}@example.org"}}
    for n in range(1, 11)
]
TEN_IDS = [
    "73183578361",
    "73183578360",
    "73183579323",
    "73183578358",
    "73183578356",
    "73183579325",
    "73183578359",
    "73183579324",
    "73183579322",
    "73183578357",
]

GIVEN: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "companies_create": [],
    "companies_delete": [],
    "companies_find_by_id": [("companies", "22816780518", {"name": "ACME Example", "domain": "example.com"})],
    "companies_patch_name": [("companies", "22816780518", {"name": "ACME Example", "domain": "example.com"})],
    "contacts_find_by_id": [
        ("contacts", "73279037630", {"email": "test@example.org", "firstname": "Test", "lastname": "User"})
    ],
    "contacts_find_missing_user_by_email": [],
    "contacts_patch_last_name": [
        (
            "contacts",
            "73133404393",
            {"email": "patchme@example.com", "firstname": "Patch", "lastname": "Meyup"},
        )
    ],
    "contacts_search": [("contacts", key, one["properties"]) for key, one in zip(TEN_IDS, TEN, strict=True)],
    "contacts_search_by_email": [
        ("contacts", key, one["properties"]) for key, one in zip(TEN_IDS, TEN, strict=True)
    ],
    "lifecycle_contacts_batches_search": [],
    "lifecycle_contacts_batches_search_archive": [
        ("contacts", key, one["properties"]) for key, one in zip(TEN_IDS, TEN, strict=True)
    ],
    "lifecycle_contacts_find_delete": [("contacts", "73279037630", {"email": "test@example.org"})],
}
"""Recording -> what must be in the portal before: (object, recorded id, properties)."""

OUT_OF_SCOPE = {
    "companies_find_by_id_no_scope": "OAuth scopes are not modelled: every token of the sandbox has all of them",
    "companies_properties_no_scope": "OAuth scopes are not modelled",
    "contacts_properties_no_scope": "OAuth scopes are not modelled",
}
COMPARED_APART = {"contacts_properties"}


def test_every_recording_is_replayed_or_named_with_a_reason() -> None:
    """No recording is passed over in silence."""
    known = {*GIVEN, *OUT_OF_SCOPE, *COMPARED_APART}
    assert {path.stem for path in recordings("hubspot").glob("*.yml")} == known


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_answers_have_the_recorded_shape_when_replayed(sandbox: SandboxProcess, name: str) -> None:
    """Status, content type, limit headers and JSON shape are those of the real portal."""
    account = name.replace("_", "-")
    sandbox.empty("hubspot", account)
    with sandbox.session("hubspot", account) as client:
        ids = {recorded: _make(client, kind, values) for kind, recorded, values in GIVEN[name]}
        for exchange in load(recordings("hubspot") / f"{name}.yml"):
            answer = _replay(client, exchange, ids)
            _same(exchange, answer)
            _learn(ids, exchange, answer)


def test_property_definitions_have_the_recorded_shape(sandbox: SandboxProcess) -> None:
    """Every shipped contact property is a real one, defined with the same keys and types and the same meaning."""
    with sandbox.session("hubspot", "definitions") as client:
        exchange = load(recordings("hubspot") / "contacts_properties.yml")[0]
        answer = client.get("/crm/v3/properties/contacts")
    real = {one["name"]: one for one in exchange.content["results"]}
    seen = {one["name"]: one for one in answer.json()["results"]}
    dated = ("createdAt", "updatedAt", "archived")
    assert answer.status_code == exchange.status
    assert len(seen) > 60
    assert set(seen) <= set(real)
    assert [odd for name, one in seen.items() for odd in differences(real[name], one, name, dated)] == []
    same = ("type", "fieldType", "groupName", "hasUniqueValue", "options", "modificationMetadata")
    assert [name for name, one in seen.items() if any(one[key] != real[name][key] for key in same)] == []


def _make(client: httpx.Client, kind: str, values: dict[str, str]) -> str:
    made = client.post(f"/crm/v3/objects/{kind}", json={"properties": values})
    return str(made.raise_for_status().json()["id"])


def _replay(client: httpx.Client, exchange: Exchange, ids: dict[str, str]) -> httpx.Response:
    url, body = exchange.url.removeprefix(HOST), exchange.body
    for recorded, own in ids.items():
        url = url.replace(recorded, own)
        body = body.replace(recorded, own) if body else body
    headers = {"Content-Type": "application/json"} if body else {}
    return client.request(exchange.method, url, content=body, headers=headers)


def _same(exchange: Exchange, answer: httpx.Response) -> None:
    assert answer.status_code == exchange.status
    recorded = {name.lower(): value for name, value in exchange.headers.items()}
    assert answer.headers.get("content-type") == recorded.get("content-type")
    limits = {name for name in recorded if name.startswith("x-hubspot-ratelimit")}
    assert {name for name in answer.headers if name.startswith("x-hubspot-ratelimit")} == limits
    fixed = ("daily", "max", "interval-milliseconds", "secondly")
    for name in (f"x-hubspot-ratelimit-{one}" for one in fixed):
        assert answer.headers.get(name) == recorded.get(name)
    assert ("location" in answer.headers) == ("location" in recorded)
    if "json" in recorded.get("content-type", ""):
        assert differences(exchange.content, answer.json()) == []
    elif exchange.text:
        assert answer.text == exchange.text


def _learn(ids: dict[str, str], exchange: Exchange, answer: httpx.Response) -> None:
    if exchange.status == 201 and exchange.text:
        recorded: dict[str, Any] = exchange.content
        if "id" in recorded:
            ids[recorded["id"]] = answer.json()["id"]


def test_batch_results_come_in_another_order_than_the_inputs(sandbox: SandboxProcess) -> None:
    """As in the recording, the answer's order says nothing about the inputs' order, and no result is lost."""
    sandbox.empty("hubspot", "order")
    with sandbox.session("hubspot", "order") as client:
        answer = client.post("/crm/v3/objects/contacts/batch/create", content=json.dumps({"inputs": TEN}))
    seen = [one["properties"]["email"] for one in answer.json()["results"]]
    asked = [one["properties"]["email"] for one in TEN]
    assert seen != asked
    assert sorted(seen) == sorted(asked)
