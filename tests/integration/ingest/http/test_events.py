"""POST /v1/events through a real socket, with the whole service behind it."""

from __future__ import annotations

import datetime as dt
import json

import anyio
import httpx
import pytest
from cloudevents.core.bindings.http import HTTPMessage, to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from tests.integration.ingest.http.door import JSON, held_log, item, service
from tests.integration.ingest.world import TENANT, TIME_S, event

from headwater.ingest.v1 import ingest_pb2

pytestmark = pytest.mark.anyio
ACCEPTED = ingest_pb2.DISPOSITION_ACCEPTED


def _fates(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [outcome["disposition"] for outcome in answer.json()["outcomes"]]


async def test_one_event_through_both_doors_is_one_event(migrated_database_url: str) -> None:
    """What gRPC accepted is a duplicate over HTTP, under the same key, and the other way round."""
    async with service(migrated_database_url) as doors:
        first = await doors.grpc.record(event(1))
        over_http = await doors.post(item(1))
        assert _fates(over_http) == ["DUPLICATE"]
        assert over_http.json()["outcomes"][0]["event_key"] == first.event_key
        assert _fates(await doors.post(item(2))) == ["ACCEPTED"]
        assert (await doors.grpc.record(event(2))).disposition == ingest_pb2.DISPOSITION_DUPLICATE
        assert await doors.grpc.counts() == {ACCEPTED: 2}


async def test_both_spellings_of_the_names_are_one_event(migrated_database_url: str) -> None:
    """snake_case and lowerCamelCase say the same."""
    async with service(migrated_database_url) as doors:
        snake = item(1, request_id="r-1", operation="OPERATION_UPSERT")
        camel = {
            **snake,
            "requestId": snake["request_id"],
            "externalId": snake["external_id"],
            "eventTime": snake["event_time"],
        }
        for name in ("request_id", "external_id", "event_time"):
            del camel[name]
        assert _fates(await doors.post(snake)) == ["ACCEPTED"]
        assert _fates(await doors.post(camel)) == ["DUPLICATE"]


async def test_a_list_has_one_outcome_per_event_in_order(migrated_database_url: str) -> None:
    """A thousand events in one call, bad ones among them, each with its own fate."""
    async with service(migrated_database_url) as doors:
        events = [item(number) for number in range(997)]
        events += [item(3), item(2000, payload={"name": "no address"}), item(2001, external_id="")]
        answer = await doors.post({"events": events})
        fates = _fates(answer)
        assert fates[:997] == ["ACCEPTED"] * 997
        assert fates[997:] == ["DUPLICATE", "QUARANTINED", "REFUSED"]
        assert answer.json()["outcomes"][999]["violations"][0]["field"] == "event.external_id"


async def test_a_refused_event_is_a_problem_with_every_violation(migrated_database_url: str) -> None:
    """400 with reason, domain and all broken rules."""
    async with service(migrated_database_url) as doors:
        answer = await doors.post({"source": "Web Shop", "object": "thing", "payload": [1]})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["reason"], problem["domain"], problem["status"]) == ("MALFORMED", "headwater", 400)
        assert {broken["field"] for broken in problem["violations"]} == {
            "event.source", "event.object", "event.external_id", "event.event_time", "event.payload",
        }  # fmt: skip


async def test_refusals_have_the_statuses_of_the_grpc_table(migrated_database_url: str) -> None:
    """409 for another content under one id, 412 for a tenant without a policy."""
    async with service(migrated_database_url) as doors:
        await doors.post(item(1, request_id="r"))
        conflict = await doors.post(item(1, payload={"email": "x@example.com"}, request_id="r"))
        assert (conflict.status_code, conflict.json()["reason"]) == (409, "PAYLOAD_CONFLICT")
        nobody = await doors.post(item(1), Headwater_Tenant="nobody")
        assert (nobody.status_code, nobody.json()["reason"]) == (412, "NO_POLICY")


async def test_a_tenant_is_required(migrated_database_url: str) -> None:
    """Without the header nothing is guessed."""
    async with service(migrated_database_url) as doors:
        body = json.dumps(item(1)).encode()
        answer = await doors.http.post(
            "/v1/events", content=body, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["violations"][0]["field"]) == (400, "tenant_id")


async def test_bodies_of_other_kinds_are_refused(migrated_database_url: str) -> None:
    """415 for a foreign media type or a compressed body, 403 for a page in a browser."""
    async with service(migrated_database_url) as doors:
        assert (await doors.post(item(1), Content_Type="text/plain")).status_code == 415
        assert (
            await doors.post(item(1), Content_Type="application/json; charset=latin-1")
        ).status_code == 415
        zipped = await doors.post(item(1), Content_Encoding="gzip")
        assert (zipped.status_code, zipped.headers["accept-encoding"]) == (415, "identity")
        assert (await doors.post(item(1), Origin="http://127.0.0.1")).status_code == 403
        assert await doors.grpc.counts() == {}


async def test_a_full_gather_is_told_with_the_time_to_come_back(migrated_database_url: str) -> None:
    """429 with Retry-After, as RESOURCE_EXHAUSTED with RetryInfo; those that wait are answered in the end."""
    async with service(migrated_database_url, buffer_rows=20, flushers=1) as doors:
        refused: list[httpx.Response] = []
        answered: list[httpx.Response] = []
        async with held_log(migrated_database_url) as release:

            async def send(turn: int) -> None:
                answer = await doors.post({"events": [item(turn * 10 + number) for number in range(10)]})
                (answered if answer.status_code == 200 else refused).append(answer)
                if len(refused) == 1:
                    await release()

            async with anyio.create_task_group() as tasks:
                for turn in range(8):
                    tasks.start_soon(send, turn)
        assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(429, "1")}
        assert refused[0].json()["reason"] == "OVERLOADED"
        assert len(answered) >= 2


async def test_an_event_whose_fate_is_not_known_in_time_is_503(migrated_database_url: str) -> None:
    """While the log hangs a caller is asked to come back; sending the same again is safe."""
    async with service(migrated_database_url, deadline_default_s=0.3) as doors:
        async with held_log(migrated_database_url):
            answer = await doors.post(item(1))
        assert (answer.status_code, answer.json()["reason"]) == (503, "LOG_SLOW")
        assert int(answer.headers["retry-after"]) >= 1


def _sdk_event(number: int = 1, **attributes: object) -> CloudEvent:
    given = {
        "id": f"ce-{number}",
        "source": "/shop/contacts",
        "type": "shop.customer.changed",
        "subject": f"c-{number}",
        "time": dt.datetime.fromtimestamp(TIME_S + number, dt.UTC),
        "datacontenttype": "application/json",
        **attributes,
    }
    return CloudEvent(attributes=given, data={"email": f"p{number}@example.com", "name": "Zoë"})


async def test_a_cloud_event_is_one_event_in_all_three_modes(migrated_database_url: str) -> None:
    """Structured, binary and batched, as the reference SDK writes them, are the same event; policy names it."""
    async with service(migrated_database_url) as doors:

        async def send(message: HTTPMessage) -> httpx.Response:
            headers = {**message.headers, "headwater-tenant": TENANT}
            return await doors.http.post("/v1/events", content=message.body, headers=headers)

        structured = to_structured_event(_sdk_event())
        first = await send(structured)
        assert _fates(first) == ["ACCEPTED"]
        assert _fates(await send(to_binary_event(_sdk_event()))) == ["DUPLICATE"]
        other = to_structured_event(_sdk_event(2))
        batch = HTTPMessage(
            {"content-type": "application/cloudevents-batch+json"},
            b"[" + structured.body + b"," + other.body + b"]",
        )
        assert _fates(await send(batch)) == ["DUPLICATE", "ACCEPTED"]
        kept = (await doors.grpc.get(first.json()["outcomes"][0]["event_key"])).event.event
        assert (kept.source, kept.object, kept.external_id) == ("webshop", "contact", "c-1")
        assert (kept.request_id, kept.event_time.seconds) == ("ce-1", TIME_S + 1)
        assert json.loads(kept.payload) == {"email": "p1@example.com", "name": "Zoë"}


async def test_a_cloud_event_without_time_is_a_duplicate_when_sent_again(migrated_database_url: str) -> None:
    """The time of its first receipt stands; another content under the same id is a conflict."""
    async with service(migrated_database_url) as doors:
        raw = {
            "specversion": "1.0",
            "id": "u",
            "source": "/shop/contacts",
            "type": "shop.customer.changed",
            "subject": "c-9",
        }
        kind = "application/cloudevents+json"
        assert _fates(await doors.post({**raw, "data": {"email": "a@example.com"}}, Content_Type=kind)) == [
            "ACCEPTED"
        ]
        assert _fates(await doors.post({**raw, "data": {"email": "a@example.com"}}, Content_Type=kind)) == [
            "DUPLICATE"
        ]
        other = await doors.post({**raw, "data": {"email": "b@example.com"}}, Content_Type=kind)
        assert (other.status_code, other.json()["reason"]) == (409, "PAYLOAD_CONFLICT")


async def test_probes_and_unknown_paths_are_answered(migrated_database_url: str) -> None:
    """Healthz and readyz are 200; what nobody serves is a problem too; no header tells what serves."""
    async with service(migrated_database_url) as doors:
        assert (await doors.http.get("/healthz")).json() == {"ok": True}
        ready = await doors.http.get("/readyz")
        assert ready.json() == {"ready": True}
        assert not {"server", "date"} & set(ready.headers)
        missing = await doors.http.get("/v1/nothing")
        assert (missing.status_code, missing.json()["reason"]) == (404, "NO_SUCH_PATH")
        wrong = await doors.http.get("/v1/events")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


async def test_an_events_own_trace_and_the_calls_are_kept(migrated_database_url: str) -> None:
    """The traceparent header is the context of events that bring none."""
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"
    own = "00-" + "c" * 32 + "-" + "d" * 16 + "-01"
    async with service(migrated_database_url) as doors:
        events = [item(1), item(2, trace={"traceparent": own})]
        answer = await doors.http.post(
            "/v1/events", json={"events": events}, headers={**JSON, "traceparent": parent}
        )
        keys = [outcome["event_key"] for outcome in answer.json()["outcomes"]]
        kept = [(await doors.grpc.get(key)).event.event.trace.traceparent for key in keys]
        assert kept == [parent, own]
