"""The client of ingest for other services: events in, typed outcomes out. Knows the wire contract and the kernel only.

    async with IngestClient("127.0.0.1:7711", "acme") as client, client.recorder() as recorder:
        outcome = await recorder.record(event("crm", "contact", "42", {...}, event_time=now))

The rules are pure (`gather`, `conversation`, `retrying`); `pump` carries them over gRPC; `IngestClient` and
`BlockingIngestClient` are two faces of the same.
"""

from headwater.client.backoff import Backoff
from headwater.client.blocking import BlockingEventStream, BlockingIngestClient, BlockingRecorder
from headwater.client.errors import Abandoned, ClientClosed, ContractBroken, EventRefused, UsedAfterFork
from headwater.client.ingest import IngestClient
from headwater.client.outcomes import Accepted, Duplicate, Outcome, Outcomes, Quarantined, Refused
from headwater.client.recorder import Receipt, Recorder
from headwater.client.settings import ClientSettings, RecorderSettings, RetryAllowance
from headwater.client.stream import Acknowledged, EventStream
from headwater.client.writing import event
from headwater.kernel.errors import (
    HeadwaterError,
    InvalidInput,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from headwater.kernel.security.calling import ChannelSecurity
from headwater.kernel.telemetry.old_news import old_news

__all__ = [
    "Abandoned",
    "Accepted",
    "Acknowledged",
    "Backoff",
    "BlockingEventStream",
    "BlockingIngestClient",
    "BlockingRecorder",
    "ChannelSecurity",
    "ClientClosed",
    "ClientSettings",
    "ContractBroken",
    "Duplicate",
    "EventRefused",
    "EventStream",
    "HeadwaterError",
    "IngestClient",
    "InvalidInput",
    "Outcome",
    "Outcomes",
    "Overloaded",
    "PermissionDenied",
    "Quarantined",
    "Receipt",
    "Recorder",
    "RecorderSettings",
    "Refused",
    "RetryAllowance",
    "Unauthenticated",
    "Unavailable",
    "UsedAfterFork",
    "event",
    "old_news",
]
