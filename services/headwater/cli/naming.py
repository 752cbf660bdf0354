"""How a person names an event on the command line: by its key, or by the id that the log gave it."""

from __future__ import annotations

from typing import Final

from headwater.ingest.v1 import ingest_pb2

HELP: Final = "The event: its key, a UUID, or the id that the log gave it, a number."

_ID_DIGITS_MAX: Final = 18
"""Ids are 64-bit; a longer number is read as a key and refused as one."""


def event_request(tenant_id: str, named: str) -> ingest_pb2.GetEventRequest:
    """Return the request for an event and its whole fate."""
    request = ingest_pb2.GetEventRequest(tenant_id=tenant_id, with_fate=True)
    if named.isascii() and named.isdigit() and len(named) <= _ID_DIGITS_MAX and int(named):
        request.event_id = int(named)
    else:
        request.event_key = named
    return request
