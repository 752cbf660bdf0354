"""Ingest as the place where polled changes are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.client import Accepted, ClientSettings, Duplicate, IngestClient, Outcome, Quarantined, Refused
from headwater.event.v1 import event_pb2
from headwater.kernel.rpc.client import IN_THE_CLEAR
from headwater.kernel.security.calling import ChannelSecurity
from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.polling import Change, Recorded, Refusal

GIVE_UP_S: Final = 30.0
"""How long a page is tried again while ingest is away; then the run fails and is tried again itself."""


class IngestLog:
    """Port `ChangeLog` over gRPC; a connection lasts for one page, since accounts are many and pages are few."""

    def __init__(self, address: str, security: ChannelSecurity = IN_THE_CLEAR) -> None:
        self._address = address
        self._settings = ClientSettings(give_up_s=GIVE_UP_S, security=security)

    async def record(
        self, tenant_id: str, changes: Sequence[Change], trace: TraceContext | None = None
    ) -> Recorded:
        """Record *changes* in one commit, under *trace*; see the port."""
        async with IngestClient(self._address, tenant_id, settings=self._settings) as client:
            outcomes = await client.record([_event(change, trace) for change in changes])
        told = list(zip(changes, outcomes, strict=True))
        return Recorded(
            accepted=sum(isinstance(outcome, Accepted) for _, outcome in told),
            duplicates=sum(isinstance(outcome, Duplicate) for _, outcome in told),
            quarantined=sum(isinstance(outcome, Quarantined) for _, outcome in told),
            refused=tuple(
                _refusal(change, outcome) for change, outcome in told if isinstance(outcome, Refused)
            ),
            keys=tuple(outcome.event_key for _, outcome in told if isinstance(outcome, Accepted)),
        )


def _event(change: Change, trace: TraceContext | None) -> event_pb2.Event:
    moment = Timestamp()
    moment.FromDatetime(change.event_time)
    operation = event_pb2.OPERATION_DELETE if change.deleted else event_pb2.OPERATION_UPSERT
    context = (
        event_pb2.TraceContext(traceparent=trace.traceparent, tracestate=trace.tracestate) if trace else None
    )
    return event_pb2.Event(
        trace=context,
        source=change.source,
        object=change.object_name,
        external_id=change.external_id,
        event_time=moment,
        operation=operation,
        payload=change.payload,
    )


def _refusal(change: Change, outcome: Outcome) -> Refusal:
    assert isinstance(outcome, Refused)  # noqa: S101 - chosen by the caller
    message = "; ".join(f"{item.field}: {item.description}" for item in outcome.violations)
    return Refusal(change.external_id, change.event_time, outcome.reason, message[:512])
