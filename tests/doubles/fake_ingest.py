"""A fake of ingest at the process's edge: a real gRPC server with a ledger in memory and faults on demand."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.errors import Unavailable
from headwater.kernel.rpc.handling import guarded


@dataclass
class FakeIngest(ingest_pb2_grpc.IngestServiceServicer):
    """Answers by a ledger of its own.

    Args:
        before: called with the number of batches received so far, from 1; raising refuses the call.
        cut_after: batches after which a stream is broken, before the answer of the last one; by stream number.
        policy_events: recorded policy events by tenant, newest first.
    """

    before: Callable[[int], None] = lambda _number: None
    cut_after: dict[int, int] = field(default_factory=dict)
    ledger: dict[str, bytes] = field(default_factory=dict)
    received: list[int] = field(default_factory=list)
    streams: int = 0
    traces: list[str] = field(default_factory=list)
    policy_events: dict[str, list[ingest_pb2.RecordedEvent]] = field(default_factory=dict)

    def outcome(self, event: event_pb2.Event) -> ingest_pb2.EventOutcome:
        """Answer one event as the contract says."""
        self.traces.append(event.trace.traceparent)
        name = event.request_id or f"{event.source}/{event.object}/{event.external_id}"
        key = hashlib.sha256(name.encode()).hexdigest()[:32]
        if b"broken" in event.payload:
            violation = event_pb2.Violation(
                field="event.payload.email",
                value="broken",
                rule="format.email",
                description="must be an address",
            )
            return ingest_pb2.EventOutcome(
                disposition=ingest_pb2.DISPOSITION_QUARANTINED, event_key=key, violations=[violation]
            )
        known = self.ledger.get(key)
        if known is None:
            self.ledger[key] = event.payload
            return ingest_pb2.EventOutcome(disposition=ingest_pb2.DISPOSITION_ACCEPTED, event_key=key)
        if known == event.payload:
            return ingest_pb2.EventOutcome(disposition=ingest_pb2.DISPOSITION_DUPLICATE, event_key=key)
        return ingest_pb2.EventOutcome(
            disposition=ingest_pb2.DISPOSITION_REFUSED, event_key=key, reason="PAYLOAD_CONFLICT"
        )

    async def RecordEvent(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - the contract's name
        outcome = self.outcome(request.event)
        recorded = ingest_pb2.RecordedEvent(
            event_key=outcome.event_key, event=request.event, disposition=ingest_pb2.DISPOSITION_ACCEPTED
        )
        self.policy_events.setdefault(request.tenant_id, []).insert(0, recorded)
        return ingest_pb2.RecordEventResponse(outcome=outcome)

    async def ListEvents(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - the contract's name
        return ingest_pb2.ListEventsResponse(events=self.policy_events.get(request.tenant_id, []))

    async def _unknown(self, request: Any, context: Any) -> Any:
        raise NotImplementedError(type(request).__name__)

    GetEvent = ListQuarantine = ListQuarantineGroups = ReleaseQuarantined = DiscardQuarantined = (
        GetIngestStatus
    ) = _unknown

    async def BatchRecordEvents(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - the contract's name
        self.received.append(len(request.events))
        self.before(len(self.received))
        return ingest_pb2.BatchRecordEventsResponse(outcomes=map(self.outcome, request.events))

    async def StreamEvents(self, requests: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802, ARG002 - the contract's name
        self.streams += 1
        stream, answered = self.streams, 0
        async for request in requests:
            self.received.append(request.batch_number)
            self.before(len(self.received))
            outcomes = [self.outcome(event) for event in request.events]
            answered += 1
            if self.cut_after.get(stream) == answered:
                raise Unavailable("the connection broke")
            yield ingest_pb2.StreamEventsResponse(batch_number=request.batch_number, outcomes=outcomes)


@asynccontextmanager
async def serving(fake: FakeIngest) -> AsyncIterator[str]:
    """Serve *fake* on a free port of loopback and yield its address."""
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(fake, guarded(server))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
