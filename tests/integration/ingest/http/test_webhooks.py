"""POST /v1/webhooks/{source} through a real socket: signatures, replays, and what the sender is told."""

from __future__ import annotations

import hmac
import json
import logging
import time

import httpx
import pytest
from hubspot.utils.signature import Signature
from tests.integration.ingest.http.door import (
    FORM_SECRET,
    OLD_SECRET,
    SECRET,
    WITH_WEBHOOKS,
    Doors,
    service,
    shop_body,
    signed,
)
from tests.integration.ingest.world import TIME_S, policy_event

pytestmark = pytest.mark.anyio
SHOP = "/v1/webhooks/webshop?tenant=acme"
FORM = "/v1/webhooks/form?tenant=acme"


async def _send(doors: Doors, body: bytes, headers: dict[str, str], path: str = SHOP) -> httpx.Response:
    return await doors.http.post(path, content=body, headers=headers)


def _fate(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    (outcome,) = answer.json()["outcomes"]
    return str(outcome["disposition"])


async def test_a_signed_webhook_becomes_an_event_by_the_policy_alone(migrated_database_url: str) -> None:
    """Where object, id, time and fields are is the policy's; the message id is the request id."""
    async with service(migrated_database_url) as doors:
        body = shop_body(1, name="Ann")
        answer = await _send(doors, body, signed(body))
        assert _fate(answer) == "ACCEPTED"
        kept = (await doors.grpc.get(answer.json()["outcomes"][0]["event_key"])).event.event
        assert (kept.source, kept.object, kept.external_id, kept.request_id) == (
            "webshop",
            "contact",
            "c-1",
            "msg_1",
        )
        assert kept.event_time.seconds == TIME_S + 1
        assert json.loads(kept.payload) == {"id": "c-1", "email": "p1@example.com", "name": "Ann"}


async def test_a_message_sent_again_is_a_duplicate_answered_200(migrated_database_url: str) -> None:
    """A retry is signed anew with another timestamp, and stops at 200."""
    async with service(migrated_database_url) as doors:
        body = shop_body(1)
        assert _fate(await _send(doors, body, signed(body, ago_s=30))) == "ACCEPTED"
        assert _fate(await _send(doors, body, signed(body))) == "DUPLICATE"


async def test_another_body_under_the_same_id_is_a_conflict(migrated_database_url: str) -> None:
    """409, and the first stays."""
    async with service(migrated_database_url) as doors:
        await _send(doors, shop_body(1), signed(shop_body(1)))
        answer = await _send(doors, shop_body(2), signed(shop_body(2)))
        assert (answer.status_code, answer.json()["reason"]) == (409, "PAYLOAD_CONFLICT")


async def test_a_contract_breaking_webhook_is_quarantined_and_answered_200(
    migrated_database_url: str,
) -> None:
    """The sender cannot mend it, so it must not send it again."""
    async with service(migrated_database_url) as doors:
        body = shop_body(1, email="no address")
        assert _fate(await _send(doors, body, signed(body))) == "QUARANTINED"


async def test_the_old_secret_is_accepted_while_it_is_named(migrated_database_url: str) -> None:
    """Rotation: any secret of the policy may have signed."""
    async with service(migrated_database_url) as doors:
        body = shop_body(1)
        assert _fate(await _send(doors, body, signed(body, secret=OLD_SECRET))) == "ACCEPTED"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"webhook-id": "msg_2"}, "signature_mismatch"),
        ({"webhook-signature": "v1,AAAA"}, "signature_mismatch"),
        ({"webhook-signature": ""}, "header_missing"),
        ({"webhook-timestamp": "1"}, "signature_mismatch"),
    ],
)
async def test_a_forged_webhook_is_told_the_rule_and_nothing_else(
    migrated_database_url: str, change: dict[str, str], rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    """401 before any parsing; neither answer nor log holds secret or body."""
    async with service(migrated_database_url) as doors:
        body = shop_body(1, name="Secret Name")
        answer = await _send(doors, body, {**signed(body), **change})
        assert answer.status_code == 401
        assert "www-authenticate" in answer.headers
        assert answer.json()["metadata"] == {"rule": rule}
        assert await doors.grpc.counts() == {}
    told = answer.text + caplog.text + "".join(str(vars(line)) for line in caplog.records)
    assert "Secret Name" not in told
    assert SECRET not in told
    assert any(line.levelno == logging.WARNING and vars(line).get("rule") == rule for line in caplog.records)


async def test_an_old_recording_is_refused(migrated_database_url: str) -> None:
    """Outside the replay window a valid signature is not enough."""
    async with service(migrated_database_url) as doors:
        body = shop_body(1)
        for ago_s, rule in ((301, "timestamp_stale"), (-310, "timestamp_future")):
            answer = await _send(doors, body, signed(body, ago_s=ago_s))
            assert (answer.status_code, answer.json()["metadata"]["rule"]) == (401, rule)


async def test_what_is_not_there_looks_the_same_whoever_asks(migrated_database_url: str) -> None:
    """Unknown tenant, unknown source, a source without webhook: one answer, to the byte."""
    async with service(migrated_database_url) as doors:
        body = shop_body(1)
        paths = ("/v1/webhooks/webshop?tenant=other", "/v1/webhooks/nothing?tenant=acme",
                 "/v1/webhooks/headwater?tenant=acme", "/v1/webhooks/webshop?tenant=A%20B")  # fmt: skip
        answers = [await _send(doors, body, signed(body), path) for path in paths]
        assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}


async def test_a_webhook_whose_secret_is_not_set_is_asked_to_come_back(migrated_database_url: str) -> None:
    """The operator's fault is 503 with Retry-After, so that the sender keeps the message."""
    async with service(migrated_database_url) as doors:
        await doors.grpc.record(policy_event(WITH_WEBHOOKS.replace("env:FORM_SECRET", "env:UNSET"), number=1))
        answer = await _form(doors, [{"kind": "person", "email": "a@example.com"}])
        assert (answer.status_code, answer.json()["reason"]) == (503, "WEBHOOK_NOT_SET_UP")
        assert int(answer.headers["retry-after"]) >= 1


async def _form(doors: Doors, answers: list[dict[str, str]]) -> httpx.Response:
    body = json.dumps({"answers": answers}).encode()
    signature = "sha256=" + hmac.digest(FORM_SECRET.encode(), body, "sha256").hex()
    return await _send(doors, body, {"x-form-signature": signature}, FORM)


async def test_a_list_without_times_is_deduplicated_by_its_body(migrated_database_url: str) -> None:
    """The plain HMAC scheme has no id and no time: the same bytes are the same message; others are passed over."""
    async with service(migrated_database_url) as doors:
        people = [{"kind": "person", "email": f"p{number}@example.com"} for number in range(3)]
        first = await _form(doors, [*people, {"kind": "ping"}])
        again = await _form(doors, [*people, {"kind": "ping"}])
        assert [one["disposition"] for one in first.json()["outcomes"]] == ["ACCEPTED"] * 3
        assert [one["disposition"] for one in again.json()["outcomes"]] == ["DUPLICATE"] * 3
        empty = await _form(doors, [{"kind": "ping"}])
        assert (empty.status_code, empty.json()) == (200, {"outcomes": []})


async def test_a_verified_body_that_is_no_json_is_400(migrated_database_url: str) -> None:
    """Only a holder of the secret is told that the body cannot be read."""
    async with service(migrated_database_url) as doors:
        answer = await _send(doors, b"not json", signed(b"not json"))
        assert (answer.status_code, answer.json()["violations"][0]["rule"]) == (400, "json")


async def test_a_deletion_is_an_event_without_payload(migrated_database_url: str) -> None:
    """The policy's word for deletion makes a DELETE of the message."""
    async with service(migrated_database_url) as doors:
        body = shop_body(1).replace(b"contact.updated", b"contact.deleted")
        answer = await _send(doors, body, signed(body))
        assert _fate(answer) == "ACCEPTED"
        kept = (await doors.grpc.get(answer.json()["outcomes"][0]["event_key"])).event.event
        assert (kept.operation, kept.payload) == (2, b"")


HUB = """\
  hub:
    layer: record
    owner: crm team
    backup: web team
    runbook: docs/hub
    inbound:
      contact:
        fields: {email: email}
    webhook:
      scheme: hubspot-v3
      secrets: [env:FORM_SECRET]
      notices: true
objects:
"""
ACCOUNT = """
connectors:
  hub:
    vendor: hubspot
    system: hub
    owner: crm team
    backup: web team
    runbook: docs/hub
    base_url: https://api.hubapi.com
    credentials: env:HUB
    limits: {window: {calls: 100, window_s: 10}}
    poll: {every_s: 300}
    objects:
      contact: [{target: contacts, external_id: headwater_id, direction: in, fields: {email: {field: email}}}]
"""
WITH_NOTICES = (
    WITH_WEBHOOKS.replace("objects:\n", HUB, 1).replace(
        "owners: [webshop, form]", "owners: [webshop, form, hub]"
    )
    + ACCOUNT
)


def hub_signed(body: bytes, host: str, path: str) -> dict[str, str]:
    """Return HubSpot's headers, made by HubSpot's own client."""
    now_ms = str(int(time.time() * 1000))
    told = Signature.get_signature(FORM_SECRET, body.decode(), "v3", f"https://{host}{path}", "POST", now_ms)
    return {
        "x-hubspot-signature-v3": told,
        "x-hubspot-request-timestamp": now_ms,
        "content-type": "application/json",
    }


async def test_hubspots_own_batch_becomes_pointers_once(migrated_database_url: str) -> None:
    """Two changes of one record at one time are one; sent again everything is a duplicate; unread objects are left out."""
    path = "/v1/webhooks/hub?tenant=acme"
    at = {"occurredAt": int(time.time() * 1000), "attemptNumber": 0}
    items = [
        {**at, "subscriptionType": "contact.propertyChange", "objectId": 7, "propertyName": "email"},
        {**at, "subscriptionType": "contact.propertyChange", "objectId": 7, "propertyName": "phone"},
        {
            **at,
            "subscriptionType": "contact.merge",
            "primaryObjectId": 7,
            "mergedObjectIds": [8],
            "newObjectId": 9,
        },
        {**at, "subscriptionType": "deal.creation", "objectId": 4},
    ]
    async with service(migrated_database_url, policy=WITH_NOTICES) as doors:
        fates: list[list[str]] = []
        keys: list[str] = []
        for attempt in (0, 1):
            body = json.dumps([{**one, "attemptNumber": attempt} for one in items]).encode()
            answer = await _send(doors, body, hub_signed(body, f"127.0.0.1:{doors.http_port}", path), path)
            assert answer.status_code == 200, answer.text
            fates.append([one["disposition"] for one in answer.json()["outcomes"]])
            keys = [one["event_key"] for one in answer.json()["outcomes"]]
        assert fates == [["ACCEPTED"] * 3, ["DUPLICATE"] * 3]
        kept = [(await doors.grpc.get(key)).event.event for key in keys]
        assert [(one.object, one.external_id) for one in kept] == [
            ("contact", "7"),
            ("contact", "9"),
            ("contact", "8"),
        ]
        assert {one.payload for one in kept} == {b'{"headwater_fetch":true}'}
