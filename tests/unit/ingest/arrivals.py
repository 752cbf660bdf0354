"""Arrivals and events for the unit tests of ingest."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from headwater.ingest.domain.envelope import WellFormed, read_envelope
from headwater.ingest.domain.event import NOBODY, Arrival, NewEvent
from headwater.ingest.domain.flush import Known
from headwater.ingest.domain.minting import mint
from headwater.kernel.errors import FieldViolation

NOW_US: Final = 1_760_000_000_000_000
TENANT: Final = "acme"


def arrival(payload: Any = None, **fields: Any) -> Arrival:
    """Return a well-formed arrival unless *fields* say otherwise."""
    body = {"email": "a@example.com"} if payload is None else payload
    given: dict[str, Any] = {
        "source": "webshop",
        "object": "contact",
        "external_id": "c-1",
        "source_version": "",
        "event_time_us": NOW_US - 1_000_000,
        "operation": 1,
        "payload": body if isinstance(body, bytes) else msgspec.json.encode(body),
        "actor": NOBODY,
        "request_id": "",
        "traceparent": "",
        "tracestate": "",
        **fields,
    }
    return Arrival(**given)


def well_formed(payload: Any = None, **fields: Any) -> WellFormed:
    """Return an arrival that has passed the door."""
    read = read_envelope(arrival(payload, **fields), now_us=NOW_US, skew_s=300)
    assert isinstance(read, WellFormed), read
    return read


def new_event(payload: Any = None, *, violations: tuple[FieldViolation, ...] = (), **fields: Any) -> NewEvent:
    """Return an event with its key."""
    return mint(TENANT, well_formed(payload, **fields), violations=violations)


def known(event: NewEvent, *, age_us: int = 0, generation: int = 0) -> Known:
    """Return what the ledger says of an event recorded *age_us* ago."""
    return Known(event.event_key, event.content_hash, NOW_US - age_us, NOW_US, generation)
