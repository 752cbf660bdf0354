"""The HubSpot connector against a scripted vendor: isolation, references, preparation."""

from __future__ import annotations

import json
from collections.abc import Sequence

import httpx
import pytest
from tests.unit.connectors.scripted import CONTACTS, Script, an_account, in_turn

from headwater.connectors.base import (
    CallFailed,
    ErrorClass,
    Failed,
    Outcome,
    Reference,
    Target,
    Write,
    Written,
)
from headwater.connectors.hubspot.client import HubSpotVendor

pytestmark = pytest.mark.anyio


def written(request: httpx.Request) -> httpx.Response:
    """Write every input, as HubSpot answers an upsert."""
    results = [
        {"id": f"crm-{item['id']}", "properties": {"headwater_id": item["id"]}, "new": True}
        for item in json.loads(request.content)["inputs"]
    ]
    return httpx.Response(200, json={"status": "COMPLETE", "results": results})


async def upserted(script: Script, writes: Sequence[Write], target: Target = CONTACTS) -> Sequence[Outcome]:
    """Run one upsert."""
    connector = HubSpotVendor().open(an_account(), script.gate, transport=script)
    outcomes = await connector.upsert(target, writes)
    await connector.aclose()
    return outcomes


async def test_upsert_isolates_a_bad_record_that_fails_the_whole_call() -> None:
    """One invalid address among eight costs a few calls, not the other seven."""

    def answer(request: httpx.Request) -> httpx.Response:
        inputs = json.loads(request.content)["inputs"]
        if any(item["properties"].get("email") == "bad" for item in inputs):
            message = 'x: [{"error":"INVALID_EMAIL","name":"email","message":"a value is invalid"}]'
            return httpx.Response(400, json={"category": "VALIDATION_ERROR", "message": message})
        return written(request)

    script = Script(answer)
    writes = [Write(f"e{number}", "", {"email": "bad" if number == 5 else "ok"}) for number in range(8)]
    outcomes = await upserted(script, writes)
    assert [isinstance(outcome, Failed) for outcome in outcomes] == [number == 5 for number in range(8)]
    assert len(script.requests) == 7


async def test_upsert_raises_format_once_when_all_records_have_the_unknown_property() -> None:
    """A wrong mapping fails each record as FORMAT after one call."""
    message = 'Property "firstname" does not exist'
    script = Script(
        lambda _request: httpx.Response(400, json={"category": "VALIDATION_ERROR", "message": message})
    )
    outcomes = await upserted(script, [Write(f"e{number}", "", {"firstname": "A"}) for number in range(5)])
    classes = {outcome.error.error_class for outcome in outcomes if isinstance(outcome, Failed)}
    assert (classes, len(outcomes), len(script.requests)) == ({ErrorClass.FORMAT}, 5, 1)


async def test_upsert_raises_when_no_record_is_to_blame() -> None:
    """A refusal of the call as such is the caller's business."""
    script = Script(
        lambda _request: httpx.Response(403, json={"category": "MISSING_SCOPES", "message": "no"})
    )
    with pytest.raises(CallFailed) as failed:
        await upserted(script, [Write("e1", "", {})])
    assert failed.value.error.error_class is ErrorClass.PERMISSION


async def test_upsert_sends_new_and_known_records_apart() -> None:
    """Records without a CRM id go by external id, the others by CRM id; outcomes keep the caller's order."""
    script = Script(written)
    outcomes = await upserted(script, [Write("a", "", {}), Write("b", "", {})])
    assert outcomes == [Written("crm-a", created=True), Written("crm-b", created=True)]
    updated = httpx.Response(200, json={"results": [{"id": "7", "properties": {"headwater_id": "k"}}]})
    script = Script(
        in_turn(
            [
                httpx.Response(
                    200, json={"results": [{"id": "8", "properties": {"headwater_id": "n"}, "new": True}]}
                ),
                updated,
            ]
        )
    )
    outcomes = await upserted(script, [Write("k", "7", {}), Write("n", "", {})])
    assert outcomes == [Written("7", created=False), Written("8", created=True)]
    assert [request.url.path.rsplit("/")[-1] for request in script.requests] == ["upsert", "update"]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            404,
            {"category": "OBJECT_NOT_FOUND", "message": "No COMPANY with ID 9 exists"},
            ErrorClass.REFERENCE,
        ),
        (503, {"message": "down"}, ErrorClass.SERVER),
        (504, {"message": "lost"}, ErrorClass.NETWORK),
        (429, {"policyName": "SECONDLY"}, ErrorClass.RATE_LIMIT),
    ],
)
async def test_upsert_fails_the_record_when_its_association_fails(
    status: int, body: dict[str, str], expected: ErrorClass
) -> None:
    """A record without its references is not delivered; a doubt about them is not a doubt about the record."""

    def answer(request: httpx.Request) -> httpx.Response:
        return written(request) if "/objects/" in request.url.path else httpx.Response(status, json=body)

    writes = [Write("a", "", {}, (Reference("companies", ("9",)),)), Write("b", "", {})]
    lost, kept = await upserted(Script(answer), writes)
    assert isinstance(lost, Failed)
    assert (lost.error.error_class, kept) == (expected, Written("crm-b", created=True))


async def test_prepare_creates_our_properties_and_reports_the_others() -> None:
    """The external id and `headwater_` fields are made; anything else is a person's decision."""
    listed = {"results": [{"name": "email", "type": "string", "groupName": "contactinformation"}]}
    script = Script(
        lambda request: (
            httpx.Response(200, json=listed)
            if request.method == "GET"
            else httpx.Response(201, json=json.loads(request.content))
        )
    )
    target = Target("contact", "contacts", "headwater_id", ("email", "headwater_score", "shoe_size"))
    connector = HubSpotVendor().open(an_account(), script.gate, transport=script)
    report = await connector.prepare([target])
    made = [json.loads(request.content) for request in script.requests if request.method == "POST"]
    assert [(body["name"], body["hasUniqueValue"]) for body in made] == [
        ("headwater_id", True),
        ("headwater_score", False),
    ]
    assert (report.ok, len(report.findings)) == (False, 1)
    assert "shoe_size" in report.findings[0]


async def test_connection_explains_what_to_do() -> None:
    """A refused grant is told with its remedy, not raised."""

    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(
                400, json={"status": "BAD_REFRESH_TOKEN", "message": f"no {request.method}"}
            )

    connector = HubSpotVendor().open(an_account(), Script(written).gate, transport=Refusing())
    report = await connector.test_connection()
    assert not report.ok
    assert "connect the account again" in report.findings[0]
