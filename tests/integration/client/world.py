"""What the tests of the client share: quick settings, numbered events, a client of a given address."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from typing import Any, Final

from headwater.client import Backoff, ClientSettings, IngestClient, RecorderSettings, event
from headwater.event.v1 import event_pb2

FAST: Final = ClientSettings(
    backoff=Backoff(first_s=0.001, cap_s=0.02), give_up_s=8.0, acknowledge_timeout_s=5.0, call_timeout_s=5.0
)
SMALL: Final = RecorderSettings(
    linger_s=0.001, batch_events_max=10, buffer_events_max=100, buffer_bytes_max=1024 * 1024
)
TIME: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def numbered(first: int, count: int = 1) -> list[event_pb2.Event]:
    """Events of contacts by number."""
    return [event("crm", "contact", str(n), {"n": n}, event_time=TIME) for n in range(first, first + count)]


def one(number: int = 0, **payload: Any) -> event_pb2.Event:
    """The event of contact *number*."""
    return event("crm", "contact", str(number), payload or {"n": number}, event_time=TIME)


def client(address: str, **given: Any) -> IngestClient:
    """A client with quick settings, *given* in place of some."""
    settings = dataclasses.replace(FAST, **given)
    return IngestClient(address, "acme", settings=settings, chance=random.Random(1))
