"""The binary COPY stream of events, built by hand: the only place that knows PostgreSQL's COPY format.

A row is a struct of what has a fixed size, then texts and bytes led by their lengths. The driver's own encoder
looks each value's type up and checks it: 2.5 us a row against 1 here.
Source: PostgreSQL documentation, COPY, "Binary Format".
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterable
from typing import Final

from headwater.ingest.domain.event import NewEvent

COPY_COLUMNS: Final = (
    "event_time",
    "event_key",
    "content_hash",
    "record_hash",
    "disposition",
    "operation",
    "actor_type",
    "tenant_id",
    "source",
    "object",
    "external_id",
    "payload",
    "trace",
    "source_version",
    "request_id",
    "actor_id",
    "actor_name",
    "tracestate",
    "released_from",
)
"""Columns that a COPY brings; day, position and record time are the database's."""

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_NULLS: Final = {count: _NULL * count for count in range(1, 8)}
_POSTGRES_EPOCH_US: Final = 946_684_800_000_000
"""2000-01-01, from which PostgreSQL counts microseconds."""

_fixed = struct.Struct(">hiqi16si16siiihihih").pack
_length = struct.Struct(">i").pack
_prefixes: dict[tuple[str, str, str], bytes] = {}
_PREFIXES_MAX: Final = 4096


def copy_stream(events: Iterable[NewEvent]) -> bytes:
    """Return the whole stream of a COPY into `COPY_COLUMNS`."""
    parts = [_HEADER]
    add = parts.append
    columns = len(COPY_COLUMNS)
    for event in events:
        group = (event.tenant_id, event.source, event.object)
        actor, trace = event.actor, event.trace
        payload, external_id = event.payload, event.external_id.encode()
        add(
            _fixed(
                columns,
                8,
                event.event_time_us - _POSTGRES_EPOCH_US,
                16,
                event.event_key,
                16,
                event.content_hash,
                4,
                event.record_hash,
                2,
                3 if event.violations else 1,
                2,
                event.operation,
                2,
                actor.kind,
            )
        )
        add(_prefixes.get(group) or _prefix(group))
        add(_length(len(external_id)))
        add(external_id)
        add(_length(len(payload)))
        add(payload)
        add(b"\0\0\0\x19" + trace.to_bytes() if trace else _NULL)
        if actor.actor_id or actor.name or event.source_version or event.request_id:
            add(_text(event.source_version) + _text(event.request_id))
            add(_text(actor.actor_id) + _text(actor.name))
        else:
            add(_NULLS[4])
        if trace and trace.tracestate:
            add(_text(trace.tracestate))
        else:
            add(_NULL)
        add(b"\0\0\0\x10" + event.released_from if event.released_from else _NULL)
    add(_TRAILER)
    return b"".join(parts)


async def in_one_piece(stream: bytes) -> AsyncIterator[bytes]:
    """Give the stream to the driver, which wants an asynchronous iterator."""
    yield stream


def _prefix(group: tuple[str, str, str]) -> bytes:
    if len(_prefixes) >= _PREFIXES_MAX:
        _prefixes.clear()
    prefix = _prefixes[group] = b"".join(map(_text, group))
    return prefix


def _text(text: str) -> bytes:
    if not text:
        return _NULL
    encoded = text.encode()
    return _length(len(encoded)) + encoded
