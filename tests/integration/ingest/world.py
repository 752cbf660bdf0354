"""What the tests of ingest share: a policy, events, a service in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.event.v1 import event_pb2
from headwater.ingest.app import serving
from headwater.ingest.settings import IngestSettings
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.rpc import open_channel
from headwater.kernel.telemetry import Telemetry, TelemetrySettings, start_telemetry

TENANT: Final = "acme"
TIME_S: Final = 1_760_000_000
CALL_S: Final = 15.0

POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  webshop:
    layer: record
    owner: shop team
    backup: crm team
    runbook: docs/webshop
    clock_skew_s: 60
    inbound:
      contact:
        fields: {email: email, name: full_name, age: age, token: token}
      lead:
        fields: {email: email}
objects:
  contact:
    fields:
      email: {type: email, owners: [webshop], rule: most_recent}
      full_name: {type: text, owners: [webshop], rule: most_recent}
      age: {type: integer, owners: [webshop], rule: most_recent}
      token: {type: integer, owners: [webshop], rule: most_recent, class: secret}
    require_any: [[email]]
  lead:
    on_violation: refuse
    fields:
      email: {type: email, owners: [webshop], rule: most_recent, required: true}
"""

Outcomes = Sequence[ingest_pb2.EventOutcome]
ACTOR: Final = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="u-1", display_name="An operator")


def stamp(seconds: float) -> Timestamp:
    """Return a timestamp, microseconds kept."""
    message = Timestamp()
    message.FromMicroseconds(round(seconds * 1e6))
    return message


def event(number: int = 0, payload: Any = None, **fields: Any) -> event_pb2.Event:
    """Return the event of contact *number*, well-formed unless *fields* say otherwise."""
    body = {"email": f"p{number}@example.com", "name": f"Person {number}"} if payload is None else payload
    given: dict[str, Any] = {
        "source": "webshop",
        "object": "contact",
        "external_id": f"c-{number}",
        "event_time": stamp(TIME_S + number),
        "payload": json.dumps(body).encode(),
        **fields,
    }
    return event_pb2.Event(**given)


def policy_event(text: str = POLICY, *, number: int = 0) -> event_pb2.Event:
    """Return the event that puts a policy in force."""
    return event_pb2.Event(
        source="headwater",
        object="policy",
        external_id="policy",
        event_time=stamp(TIME_S + number),
        payload=json.dumps({"document": text}).encode(),
    )


def quiet() -> Telemetry:
    """Return telemetry that goes nowhere."""
    return start_telemetry("ingest", TelemetrySettings(), environ={})


def settings(url: str, **given: Any) -> IngestSettings:
    """Return the settings of a service on a free port."""
    fixed: dict[str, Any] = {"address": "127.0.0.1:0", "sync_address": "", "database_url": url}
    return IngestSettings(**{**fixed, **given})


class Client:
    """A caller of one service."""

    def __init__(self, stub: ingest_pb2_grpc.IngestServiceAsyncStub, port: int) -> None:
        self.stub = stub
        self.port = port

    async def record(self, item: event_pb2.Event, tenant: str = TENANT) -> ingest_pb2.EventOutcome:
        """Record one event."""
        request = ingest_pb2.RecordEventRequest(tenant_id=tenant, event=item)
        return (await self.stub.RecordEvent(request, timeout=CALL_S)).outcome

    async def batch(self, items: Sequence[event_pb2.Event], tenant: str = TENANT) -> Outcomes:
        """Record a batch."""
        request = ingest_pb2.BatchRecordEventsRequest(tenant_id=tenant, events=items)
        return (await self.stub.BatchRecordEvents(request, timeout=CALL_S)).outcomes

    async def get(self, key: str, *, with_fate: bool = False) -> ingest_pb2.GetEventResponse:
        """Read one event."""
        request = ingest_pb2.GetEventRequest(tenant_id=TENANT, event_key=key, with_fate=with_fate)
        return await self.stub.GetEvent(request, timeout=CALL_S)

    async def counts(self) -> dict[int, int]:
        """Return the number of contacts by disposition."""
        request = ingest_pb2.GetIngestStatusRequest(tenant_id=TENANT)
        answer = await self.stub.GetIngestStatus(request, timeout=CALL_S)
        return {item.disposition: item.count for item in answer.counts if item.object == "contact"}


async def read_numbers(call: Any, count: int) -> list[int]:
    """Read that many acknowledgements of a stream and return their batch numbers."""
    return [(await call.read()).batch_number for _ in range(count)]


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    """Call the service on *port*."""
    channel = open_channel(f"127.0.0.1:{port}")
    try:
        yield Client(ingest_pb2_grpc.IngestServiceStub(channel), port)
    finally:
        await channel.close()


@asynccontextmanager
async def service(url: str, *, policy: str | None = POLICY, **given: Any) -> AsyncIterator[Client]:
    """Run a service in this process, a policy in force, and call it."""
    async with serving(settings(url, **given), quiet()) as port, client(port) as caller:
        if policy is not None:
            await caller.record(policy_event(policy))
        yield caller
