"""The client of ingest for other services: events in, typed outcomes out. Knows the wire contract and the kernel only."""

from headwater.client.blocking import BlockingIngestClient
from headwater.client.ingest import ClientSettings, IngestClient
from headwater.client.outcomes import Accepted, Duplicate, Outcome, Quarantined, Refused
from headwater.client.stream import Acknowledged, EventStream
from headwater.client.writing import event

__all__ = [
    "Accepted",
    "Acknowledged",
    "BlockingIngestClient",
    "ClientSettings",
    "Duplicate",
    "EventStream",
    "IngestClient",
    "Outcome",
    "Quarantined",
    "Refused",
    "event",
]
