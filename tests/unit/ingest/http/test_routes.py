"""The door's edge: what callers are told when things go wrong inside, and what probes are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, cast

import httpx
import pytest
from opentelemetry.trace import NoOpTracer

from headwater.ingest.domain.cloud_event import CloudEvent
from headwater.ingest.domain.event import Arrival, Disposition, Outcome
from headwater.ingest.http.answers import HttpRefused, problem_answer
from headwater.ingest.http.routes import HttpDoor, HttpSettings
from headwater.ingest.usecases.receiving import Receiver
from headwater.ingest.usecases.recording import Recorder
from headwater.kernel.errors import HeadwaterError, Overloaded, Unavailable
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.telemetry.http import HttpServerTracing

pytestmark = pytest.mark.anyio
HEADERS = {"Headwater-Tenant": "acme", "Content-Type": "application/json"}


class Scripted:
    """A recorder and receiver that does as it is told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.cloud_events: list[CloudEvent] = []

    async def record(self, _tenant_id: str, arrivals: Sequence[Arrival], **_: Any) -> Sequence[Outcome]:
        if self.failure is not None:
            raise self.failure
        return [Outcome(Disposition.ACCEPTED, bytes(16)) for _ in arrivals]

    async def receive_cloud_events(
        self, _tenant_id: str, events: Sequence[CloudEvent], **_: Any
    ) -> Sequence[Outcome]:
        self.cloud_events.extend(events)
        return [Outcome(Disposition.ACCEPTED, bytes(16)) for _ in events]


@asynccontextmanager
async def _door(scripted: Scripted, shutdown: Shutdown) -> AsyncIterator[tuple[HttpDoor, httpx.AsyncClient]]:
    tracing = HttpServerTracing(NoOpTracer())
    recorder, receiver = cast("Recorder", scripted), cast("Receiver", scripted)
    door = HttpDoor(recorder, receiver, tracing, HttpSettings(), shutdown)
    transport = httpx.ASGITransport(door.application())
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        yield door, client


async def test_an_unexpected_error_is_told_by_a_correlation_id_only(caplog: pytest.LogCaptureFixture) -> None:
    """500: its text stays in the log."""
    async with _door(Scripted(ZeroDivisionError("inner secret")), Shutdown()) as (_, client):
        answer = await client.post("/v1/events", content=b"{}", headers=HEADERS)
    assert (answer.status_code, answer.json()["reason"]) == (500, "INTERNAL")
    assert "inner secret" not in answer.text
    assert answer.json()["metadata"]["correlation_id"] in {
        vars(line).get("correlation_id") for line in caplog.records
    }


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        (Overloaded("full", retry_after_s=0.25), 429, "1"),
        (Overloaded("full", retry_after_s=2.1), 429, "3"),
        (Unavailable("away"), 503, "1"),
    ],
)
async def test_callers_are_told_when_to_come_back(
    failure: HeadwaterError, status: int, retry_after: str
) -> None:
    """Whole seconds, rounded up, never none."""
    async with _door(Scripted(failure), Shutdown()) as (_, client):
        answer = await client.post("/v1/events", content=b"{}", headers=HEADERS)
    assert (answer.status_code, answer.headers["retry-after"]) == (status, retry_after)


async def test_the_media_type_of_the_structured_mode_goes_before_attribute_headers() -> None:
    """As the HTTP binding says: the attributes are the body's then."""
    scripted = Scripted()
    body = b'{"specversion":"1.0","id":"body","source":"/s","type":"t"}'
    headers = {
        **HEADERS,
        "Content-Type": "application/cloudevents+json",
        "ce-specversion": "1.0",
        "ce-id": "head",
    }
    async with _door(scripted, Shutdown()) as (_, client):
        await client.post("/v1/events", content=body, headers=headers)
    assert [event.attributes["id"] for event in scripted.cloud_events] == ["body"]


async def test_probes_follow_the_database_and_the_end() -> None:
    """Readyz is 503 without the database and once the end was asked for; healthz stays 200."""
    shutdown = Shutdown()
    async with _door(Scripted(), shutdown) as (door, client):
        assert (await client.get("/readyz")).status_code == 200
        door.set_serving(False)
        assert (await client.get("/readyz")).json() == {"ready": False, "reason": "LOG_UNAVAILABLE"}
        door.set_serving(True)
        shutdown.request()
        assert (await client.get("/readyz")).json() == {"ready": False, "reason": "SHUTTING_DOWN"}
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(("chunks", "taken"), [(3, 3), (1000, 16)])
async def test_a_refusal_of_a_body_takes_some_of_it_off_the_line_before_it_ends(
    chunks: int, taken: int
) -> None:
    """A socket closed with unread bytes is reset, and the sender would not see why; 1 MiB is enough patience."""
    told: list[dict[str, Any]] = []
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": bytes(65_536), "more_body": asked < chunks}

    async def send(message: Any) -> None:
        told.append({**message, "asked": asked})

    refused = HttpRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_TOO_LARGE", "too large", closes=True)
    await problem_answer(refused, retry_after_s=1)({"type": "http"}, receive, send)
    assert [message.get("status") for message in told] == [413, None, None]
    assert (b"connection", b"close") in told[0]["headers"]
    assert (told[1]["more_body"], told[1]["asked"]) == (True, 0)
    assert (told[2]["more_body"], told[2]["asked"]) == (False, taken)
