"""The event log as identity writes to it: ingest's gRPC. Translates, decides nothing but what a failure means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import grpc

from headwater.event.v1 import event_pb2
from headwater.identity.domain.merging import Change
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.errors import Unavailable
from headwater.kernel.ids import IDENTITY_OBJECT, OWN_SOURCE, TenantId

_RECORDED: Final = frozenset({ingest_pb2.DISPOSITION_ACCEPTED, ingest_pb2.DISPOSITION_DUPLICATE})


@dataclass(frozen=True, slots=True)
class IngestEventLog:
    """Records changes as events of object `identity`."""

    channel: grpc.aio.Channel
    timeout_s: float

    async def record(self, tenant_id: TenantId, changes: Sequence[Change]) -> Sequence[str]:
        """Record changes; see `ports.EventLog`."""
        request = ingest_pb2.BatchRecordEventsRequest(
            tenant_id=tenant_id, events=[event_of(change) for change in changes]
        )
        stub = ingest_pb2_grpc.IngestServiceStub(self.channel)
        try:
            response = await stub.BatchRecordEvents(request, timeout=self.timeout_s)
        except grpc.aio.AioRpcError as error:
            message = (
                f"ingest did not take changes of tenant {tenant_id}: {error.code().name} {error.details()}"
            )
            raise Unavailable(message, reason="INGEST_UNAVAILABLE") from error
        return [_refusal(outcome) for outcome in response.outcomes]


def event_of(change: Change) -> event_pb2.Event:
    """Return the event that tells of *change*; the same bytes every time."""
    event = event_pb2.Event(
        source=OWN_SOURCE,
        object=IDENTITY_OBJECT,
        external_id=str(change.merge_id),
        operation=event_pb2.OPERATION_UPSERT,
        payload=change.told,
        actor=event_pb2.Actor(
            type=cast("event_pb2.ActorType.ValueType", change.actor.type),
            id=change.actor.id,
            display_name=change.actor.display_name,
        ),
        request_id=f"identity:{change.change_id}",
    )
    event.event_time.FromDatetime(change.change_time)
    if change.traceparent:
        event.trace.traceparent = change.traceparent
        event.trace.tracestate = change.tracestate
    return event


def _refusal(outcome: ingest_pb2.EventOutcome) -> str:
    if outcome.disposition in _RECORDED:
        return ""
    rules = ", ".join(f"{one.field}: {one.rule}" for one in outcome.violations)
    return f"{ingest_pb2.Disposition.Name(outcome.disposition)} {outcome.reason} {rules}".strip()
